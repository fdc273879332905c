import fc from 'fast-check';
import { Deadlines, type Scheduled } from '@wirestream/core/device/deadlines';
import { StagedQueue } from '@wirestream/core/device/staged';
import { Backoff } from '@wirestream/core/stream/backoff';
import type { Connection } from '@wirestream/core/stream/connection';
import { PendingList } from '@wirestream/core/stream/pending';
import { Ranges } from '@wirestream/core/userspace/ranges';
import { must, mustEqual, target } from '../target.js';

interface Item extends Scheduled {
  readonly id: number;
}

export const deadlines = target<{ item: number; at: number }[]>({
  name: 'deadlines',
  says: 'the heap’s first is the earliest of all, after any changes',
  runs: 200,
  arbitrary: fc.array(
    fc.record({ item: fc.nat({ max: 9 }), at: fc.oneof(fc.nat({ max: 20 }), fc.constant(Infinity), fc.constant(-1)) }),
    { maxLength: 60, size: 'max' },
  ),
  check(changes) {
    const heap = new Deadlines<Item>();
    const items = Array.from({ length: 10 }, (_, id): Item => ({ id, deadline: Infinity, heapIndex: -1 }));
    const naive = new Map<number, number>();
    for (const { item, at } of changes) {
      if (at < 0) heap.remove(items[item]!);
      else heap.set(items[item]!, at);
      if (at < 0 || at === Infinity) naive.delete(item);
      else naive.set(item, at);
      mustEqual(heap.size, naive.size, 'size');
      mustEqual(heap.first?.deadline ?? Infinity, Math.min(Infinity, ...naive.values()), 'earliest');
      for (const { id, heapIndex, deadline } of items)
        mustEqual([heapIndex >= 0, deadline], [naive.has(id), naive.get(id) ?? Infinity], 'an item');
    }
  },
});

export const staged = target<number[]>({
  name: 'staged',
  says: 'at most 128 packets wait, the oldest goes first, and each is a copy',
  runs: 60,
  arbitrary: fc.array(fc.integer({ min: -3, max: 60 }), { maxLength: 300, size: 'max' }),
  check(steps) {
    const queue = new StagedQueue();
    const naive: number[] = [];
    const memory = new Uint8Array(64);
    for (const step of steps) {
      if (step === -3) mustEqual(queue.clear(), naive.splice(0).length, 'packets forgotten');
      else if (step === -2) {
        const packet = queue.shift();
        if (packet !== undefined) queue.unshift(packet);
      } else if (step === -1) mustEqual(queue.shift()?.length, naive.shift(), 'length of the oldest');
      else {
        memory.fill(step);
        const dropped = queue.push(memory, 2, step);
        naive.push(step);
        mustEqual(dropped, naive.length > 128 ? 1 : 0, 'packets that made room');
        if (naive.length > 128) naive.shift();
        memory.fill(0xdd);
      }
      mustEqual([queue.length, queue.isEmpty], [naive.length, naive.length === 0], 'length');
    }
    for (const length of naive) mustEqual(queue.shift(), new Uint8Array(length).fill(length), 'a packet');
  },
});

interface Arrival {
  readonly what: 'connect' | 'leave' | 'talk' | 'wait';
  readonly source: number;
  readonly ms: number;
}

const arrivals = (source: fc.Arbitrary<number>, pauses: readonly number[]): fc.Arbitrary<Arrival[]> =>
  fc.array(
    fc.record({
      what: fc.constantFrom('connect', 'connect', 'connect', 'connect', 'leave', 'talk', 'wait'),
      source,
      ms: fc.constantFrom(...pauses),
    }),
    { maxLength: 400, size: 'max' },
  );

export const pendingList = target<Arrival[]>({
  name: 'pending',
  says: 'strangers are admitted, evicted and closed by the numbers of DESIGN 4, however they come and talk',
  runs: 120,
  // Now and then somebody, and a crowd from a few places: only that one fills what a source may hold before its time is up.
  arbitrary: fc.oneof(
    arrivals(fc.oneof(fc.nat({ max: 2 }), fc.nat({ max: 60 })), [0, 0, 5, 31, 32, 400, 1_000, 4_999, 5_001]),
    arrivals(fc.nat({ max: 20 }), [0, 0, 5, 31, 32]),
  ),
  check(strangers) {
    const list = new PendingList();
    const naive: { connection: Connection; source: number; at: number; talked: number }[] = [];
    const tokens = new Map<number, { n: number; at: number }>();
    let now = 0;
    for (const { what, source, ms } of strangers) {
      now += ms;
      if (now >= list.nextSweep) {
        const gone = list.sweep(now);
        const due = naive.filter(({ at, talked }) => now >= at + 30_000 || now >= talked + 5_000);
        mustEqual(gone.length, due.length, `connections closed at ${now}`);
        for (const entry of due) {
          must(gone.includes(entry.connection), 'the right ones are closed');
          naive.splice(naive.indexOf(entry), 1);
        }
      }
      const mine = naive.filter((entry) => entry.source === source);
      if (what === 'talk' && mine[0] !== undefined) {
        mine[0].talked = now;
        (mine[0].connection as { lastInput: number }).lastInput = now;
      } else if (what === 'leave' && mine[0] !== undefined) {
        list.remove(mine[0].connection, 'closed-by-stranger');
        naive.splice(naive.indexOf(mine[0]), 1);
      } else if (what === 'connect') {
        const remote = { family: 4 as const, address: `10.0.0.${source}`, port: 1000 };
        const bucket = tokens.get(source) ?? { n: 32, at: now };
        bucket.n = Math.min(32, bucket.n + ((now - bucket.at) / 1000) * 32);
        bucket.at = now;
        tokens.set(source, bucket);
        const pays = bucket.n >= 1;
        if (pays) bucket.n--;
        mustEqual(list.admits(now, remote), pays && mine.length < 8, `whether source ${source} is admitted at ${now}`);
        if (!pays || mine.length >= 8) continue;
        const connection = { remote, createdAt: now, lastInput: now } as Connection;
        const evicted = list.add(now, connection);
        mustEqual(evicted !== null, naive.length >= 128, 'whether one makes room');
        if (evicted !== null) must(naive.shift()!.connection === evicted, 'the oldest makes room');
        naive.push({ connection, source, at: now, talked: now });
      }
      mustEqual([list.size, list.nextSweep === Infinity], [naive.length, naive.length === 0], 'size');
    }
    mustEqual(list.clear().length, naive.length, 'connections in the end');
  },
});

export const backoff = target<number[]>({
  name: 'backoff',
  says: 'delays double from half a second to thirty, and jitter only shortens them, by at most a quarter',
  runs: 60,
  arbitrary: fc.array(
    fc.oneof({ weight: 6, arbitrary: fc.nat({ max: 999 }) }, { weight: 1, arbitrary: fc.constant(-1) }),
    { maxLength: 30, size: 'max' },
  ),
  check(steps) {
    const delays = new Backoff();
    let expected = 500;
    for (const step of steps) {
      if (step < 0) {
        delays.reset();
        expected = 500;
        mustEqual([delays.isFresh, delays.current], [true, 0], 'after a reset');
        continue;
      }
      const delay = delays.next(step / 1000);
      must(delay <= expected && delay >= 0.75 * expected, () => `${delay} ms where up to ${expected} were due`);
      mustEqual([delays.current, delays.isFresh], [expected, false], 'current');
      expected = Math.min(30_000, 2 * expected);
    }
  },
});

export const ranges = target<{ start: number; length: number; drop: boolean }[]>({
  name: 'ranges',
  says: 'a set of ranges holds the offsets that were added, disjoint and in order',
  runs: 200,
  arbitrary: fc.array(
    fc.record({
      start: fc.nat({ max: 60 }),
      length: fc.nat({ max: 12 }),
      drop: fc.integer({ min: 0, max: 7 }).map((n) => n === 0),
    }),
    {
      maxLength: 30,
      size: 'max',
    },
  ),
  check(changes) {
    const set = new Ranges(6);
    let naive = new Set<number>();
    for (const { start, length, drop } of changes) {
      if (drop) {
        set.dropBelow(start);
        naive = new Set([...naive].filter((n) => n >= start));
      } else if (set.add(start, start + length)) for (let i = 0; i < length; i++) naive.add(start + i);
      const held = new Set<number>();
      for (let i = 0; i < set.size; i++) {
        must(
          set.starts[i]! < set.ends[i]! && (i === 0 || set.ends[i - 1]! < set.starts[i]!),
          'ranges are disjoint and in order',
        );
        for (let n = set.starts[i]!; n < set.ends[i]!; n++) held.add(n);
      }
      mustEqual(
        [...held].sort((a, b) => a - b),
        [...naive].sort((a, b) => a - b),
        'offsets held',
      );
      mustEqual(set.covered(10, 40), [...naive].filter((n) => n >= 10 && n < 40).length, 'offsets covered');
    }
  },
});
