import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { SlabPool } from '../../src/slab/pool.js';
import { Outbox, RecordKind, type OutboxLimits } from '../../src/stream/outbox.js';
import { RecordReader } from '../../src/stream/reader.js';

const LIMITS: OutboxLimits = { records: 8, bytes: 4000, age: 100 };
const pool = () => new SlabPool(8192);

/** Queues a message of `length` bytes that all are `id`. @returns whether there was room */
function put(box: Outbox, id: number, now = 0, length = 100, kind = RecordKind.data): boolean {
  const at = box.reserve(length);
  if (at < 0) return false;
  box.slab.bytes.fill(id, at, at + length);
  box.commit(kind, now);
  return true;
}

/** Lets the kernel take up to `limit` bytes of the next run. */
function take(box: Outbox, limit = Infinity, now = 0): Uint8Array {
  if (!box.peek(now)) return new Uint8Array(0);
  const count = Math.min(limit, box.runLength);
  const bytes = box.slab.bytes.slice(box.runOffset, box.runOffset + count);
  box.written(count);
  return bytes;
}

function takeAll(box: Outbox, now = 0, limit = Infinity): Uint8Array {
  const out: Uint8Array[] = [];
  while (box.peek(now)) out.push(take(box, limit, now));
  return Uint8Array.from(Buffer.concat(out));
}

/** The ids of the messages in a stream of records. */
function ids(bytes: Uint8Array): number[] {
  const reader = new RecordReader();
  reader.attach(bytes, 0, bytes.length);
  const out: number[] = [];
  while (reader.next()) out.push(bytes[reader.messageOffset]!);
  reader.detach();
  expect([reader.resyncs, reader.kept]).toEqual([0, 0]);
  return out;
}

describe('outbox', () => {
  test('records that lie behind each other go out in one run', () => {
    const box = new Outbox(pool(), LIMITS);
    for (const id of [1, 2, 3]) put(box, id);
    expect(box.peek(0)).toBe(true);
    expect(box.runLength).toBe(3 * 108);
    expect(ids(takeAll(box))).toEqual([1, 2, 3]);
    expect(box.isEmpty).toBe(true);
  });

  test('a short write is continued exactly, whatever is queued meanwhile', () => {
    const box = new Outbox(pool(), LIMITS);
    const out: Uint8Array[] = [];
    put(box, 1);
    put(box, 2);
    out.push(take(box, 30));
    put(box, 3, 0, 32, RecordKind.control);
    while (!box.isEmpty) out.push(take(box, 17));
    expect(ids(Uint8Array.from(Buffer.concat(out))).sort()).toEqual([1, 2, 3]);
  });

  test('once the socket pushed back, control overtakes data at a record boundary', () => {
    const box = new Outbox(pool(), LIMITS);
    for (const id of [1, 2, 3]) put(box, id);
    const first = take(box, 10);
    put(box, 9, 0, 32, RecordKind.control);
    const rest = [take(box, 98)];
    rest.push(take(box, 1), takeAll(box));
    expect(ids(Uint8Array.from(Buffer.concat([first, ...rest])))).toEqual([1, 9, 2, 3]);
  });

  test('with no room left the oldest data goes, the half-sent record and control stay', () => {
    const box = new Outbox(pool(), { ...LIMITS, records: 4 });
    put(box, 1);
    put(box, 2, 0, 32, RecordKind.control);
    put(box, 3);
    put(box, 4);
    const first = take(box, 10);
    expect(put(box, 5)).toBe(true);
    expect(box.drops.queueFull).toBe(1);
    const got = ids(Uint8Array.from(Buffer.concat([first, takeAll(box)])));
    expect(got.sort()).toEqual([1, 2, 4, 5]);
  });

  test('the bound on bytes holds', () => {
    const box = new Outbox(pool(), LIMITS);
    for (let id = 1; id <= 6; id++) put(box, id, 0, 992);
    expect(box.queuedBytes).toBe(4000);
    expect(ids(takeAll(box))).toEqual([3, 4, 5, 6]);
    expect(put(box, 7, 0, 4000)).toBe(false);
  });

  test('a queue full of what may not be dropped refuses, and says so', () => {
    const box = new Outbox(pool(), { ...LIMITS, records: 2 });
    put(box, 1, 0, 32, RecordKind.control);
    put(box, 2, 0, 32, RecordKind.control);
    put(box, 3, 0, 32, RecordKind.control);
    expect(put(box, 4)).toBe(false);
    expect(box.drops.queueFull).toBe(1);
  });

  test('data older than the bound is dropped rather than sent; control is sent', () => {
    const box = new Outbox(pool(), LIMITS);
    put(box, 1, 0);
    put(box, 2, 0, 32, RecordKind.control);
    put(box, 3, 60);
    expect(ids(takeAll(box, 101))).toEqual([2, 3]);
    expect(box.drops.queueAge).toBe(1);
  });

  test('the first bytes of a record in the kernel’s hands keep it alive past its age', () => {
    const box = new Outbox(pool(), LIMITS);
    put(box, 1, 0);
    const first = take(box, 1, 0);
    expect(ids(Uint8Array.from(Buffer.concat([first, takeAll(box, 10_000)])))).toEqual([1]);
  });

  test('whole fresh records move to another queue; the half-sent one and stale ones are lost', () => {
    const slabs = pool();
    const [from, to] = [new Outbox(slabs, LIMITS), new Outbox(slabs, LIMITS)];
    put(from, 1, 0);
    put(from, 2, 0);
    put(from, 3, 150);
    put(from, 4, 0, 32, RecordKind.control);
    take(from, 5, 0);
    from.moveTo(to, 160);
    expect(ids(takeAll(to, 160))).toEqual([3, 4]);
    expect(from.drops.connectionLost).toBe(2);
    expect([from.isEmpty, slabs.out]).toEqual([true, 0]);
  });

  test('an empty queue holds no slab', () => {
    const slabs = pool();
    const box = new Outbox(slabs, LIMITS);
    put(box, 1);
    expect(slabs.out).toBe(1);
    takeAll(box);
    expect(slabs.out).toBe(0);
    put(box, 2);
    box.close();
    expect(slabs.out).toBe(0);
  });

  test('under any order of events the stream stays whole, in order per kind, and nothing goes out twice', () => {
    const event = fc.oneof(
      { weight: 4, arbitrary: fc.record({ put: fc.integer({ min: 32, max: 1500 }), control: fc.boolean() }) },
      { weight: 3, arbitrary: fc.record({ take: fc.integer({ min: 0, max: 3000 }) }) },
      { weight: 1, arbitrary: fc.record({ wait: fc.integer({ min: 1, max: 60 }) }) },
    );
    fc.assert(
      fc.property(fc.array(event, { maxLength: 120 }), (events) => {
        const slabs = pool();
        const box = new Outbox(slabs, LIMITS);
        const out: Uint8Array[] = [];
        const control: number[] = [];
        let id = 0;
        let now = 0;
        let accepted = 0;
        for (const e of events) {
          if ('put' in e) {
            id = (id % 255) + 1;
            const kind = e.control ? RecordKind.control : RecordKind.data;
            if (!put(box, id, now, e.put, kind)) continue;
            accepted++;
            if (e.control) control.push(id);
          } else if ('take' in e) out.push(take(box, e.take, now));
          else now += e.wait;
          expect(box.queuedBytes).toBeLessThanOrEqual(LIMITS.bytes);
        }
        out.push(takeAll(box, now));
        const got = ids(Uint8Array.from(Buffer.concat(out)));
        expect(new Set(got).size).toBe(got.length);
        expect(got.filter((x) => control.includes(x))).toEqual(control);
        const data = got.filter((x) => !control.includes(x));
        expect(data).toEqual([...data].sort((a, b) => a - b));
        expect(got.length + box.drops.queueFull + box.drops.queueAge).toBeGreaterThanOrEqual(accepted);
        expect(slabs.out).toBe(0);
      }),
      { numRuns: 300 },
    );
  });
});
