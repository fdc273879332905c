import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { summableSlab } from '../../src/linux/offload/vectorsum.js';
import { SlabPool } from '../../src/slab/pool.js';
import { Slab } from '../../src/slab/slab.js';
import { Buffers } from '../../src/userspace/buffers.js';
import { copyAndSum, finish, sum } from '../../src/userspace/checksum.js';
import { FlowTable, type FlowEntry } from '../../src/userspace/flowtable.js';
import { IpHeader } from '../../src/userspace/ipheader.js';
import { IpPacket } from '../../src/userspace/ippacket.js';
import { Ranges } from '../../src/userspace/ranges.js';
import { GAPS_MAX, Inbound } from '../../src/userspace/tcp/inbound.js';
import { Outbound } from '../../src/userspace/tcp/outbound.js';
import { Segment, SegmentFields, writeSegment } from '../../src/userspace/tcp/segment.js';
import { checksum, readTcp, tcpPacket } from './segments.js';
import { bytesOf } from './world.js';

describe('checksums', () => {
  const fast = [summableSlab(4096), summableSlab(4096)] as const;

  test.each([
    ['word by word', [Slab.plain(4096), Slab.plain(4096)] as const],
    ['by vectors', fast],
  ])('are those of the obvious loop, at every alignment, %s', (_, [from_, to_]) => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 1_500 }), fc.nat(9), fc.nat(9), (bytes, from, to) => {
        const { view: source, vectorSum } = from_;
        const target = to_.view;
        to_.bytes.fill(0);
        new Uint8Array(source.buffer).set(bytes, from);
        const swapped = (value: number) => ((value & 255) << 8) | (value >> 8);
        expect(swapped(finish(sum(source, from, bytes.length, vectorSum)))).toBe(checksum(bytes));
        const copied = copyAndSum(source, from, target, to, bytes.length, to_.vectorSum);
        expect(swapped(finish(copied))).toBe(checksum(bytes));
        expect(new Uint8Array(target.buffer, to, bytes.length)).toEqual(bytes);
        expect(to_.bytes.subarray(to + bytes.length).every((byte) => byte === 0)).toBe(true);
      }),
    );
  });

  test('do not overflow on 64 KiB of ones', () => {
    const slab = summableSlab(65_536);
    slab.bytes.fill(255);
    expect(finish(sum(slab.view, 0, 65_536))).toBe(0);
    expect(finish(sum(slab.view, 0, 65_536, slab.vectorSum))).toBe(0);
  });
});

describe('ranges', () => {
  const operations = fc.array(
    fc.oneof(
      { weight: 6, arbitrary: fc.tuple(fc.constant('add' as const), fc.nat(60), fc.nat(12)) },
      { weight: 1, arbitrary: fc.tuple(fc.constant('drop' as const), fc.nat(60), fc.constant(0)) },
    ),
    { maxLength: 40 },
  );

  test('hold what a set of numbers holds', () => {
    fc.assert(
      fc.property(operations, (steps) => {
        const ranges = new Ranges(4);
        let twin = new Set<number>();
        for (const [what, start, length] of steps) {
          if (what === 'drop') {
            ranges.dropBelow(start);
            twin = new Set([...twin].filter((n) => n >= start));
          } else if (ranges.add(start, start + length)) {
            for (let n = start; n < start + length; n++) twin.add(n);
          } else {
            // One too many: it would have stood alone, apart from 4 others.
            for (let n = start - 1; n <= start + length; n++) expect(twin.has(n)).toBe(false);
            expect(ranges.size).toBe(4);
          }
          const numbers = Array.from({ length: 75 }, (_, n) => n);
          const free = (n: number): number => (twin.has(n) ? free(n + 1) : n);
          expect(numbers.filter((n) => ranges.covered(n, n + 1) === 1)).toEqual(numbers.filter((n) => twin.has(n)));
          expect(numbers.map((n) => ranges.skip(n))).toEqual(numbers.map(free));
          expect(ranges.covered(0, 100)).toBe(twin.size);
          expect(ranges.top).toBe(twin.size === 0 ? -1 : Math.max(...twin) + 1);
          for (let i = 1; i < ranges.size; i++) expect(ranges.starts[i]!).toBeGreaterThan(ranges.ends[i - 1]!);
          if (what === 'add' && length > 0 && twin.has(start)) {
            expect(ranges.starts[ranges.latest]!).toBeLessThanOrEqual(start);
            expect(ranges.ends[ranges.latest]!).toBeGreaterThanOrEqual(start + length);
          }
        }
      }),
    );
  });
});

describe('what comes in', () => {
  test('is handed over once, in order and unchanged, whatever the order of arrival; memory goes back', () => {
    const step = fc.record({ at: fc.nat(70), length: fc.integer({ min: 1, max: 12 }), confirm: fc.nat(3) });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
        // Slabs are a page; the test's unit of 97 bytes makes pieces fall across their edges.
        const unit = 97;
        const buffers = new Buffers(new SlabPool(4096), 100 * 4096);
        const inbound = new Inbound(buffers);
        const stream = bytesOf(90 * unit);
        const view = new DataView(stream.buffer);
        const have = new Set<number>();
        const got: number[] = [];
        const drain = () => {
          while (inbound.run()) {
            for (let i = 0; i < inbound.runLength; i++) got.push(inbound.runSlab!.bytes[inbound.runOffset + i]!);
          }
        };
        const place = (start: number, end: number) => {
          const from = Math.max(start * unit, inbound.accepted);
          if (from >= end * unit) return;
          if (!inbound.place(view, from, from, end * unit - from)) return;
          for (let n = start; n < end; n++) have.add(n);
        };
        for (const { at, length, confirm } of steps) {
          place(at, at + length);
          let next = 0;
          while (have.has(next)) next++;
          expect(inbound.accepted).toBe(next * unit);
          drain();
          expect(got.length).toBe(inbound.accepted);
          inbound.confirm(Math.floor((inbound.pending * confirm) / 3));
          // What is held reaches at most from what was taken to the last gap.
          expect(buffers.out).toBeLessThanOrEqual(Math.ceil((90 * unit) / 4096) + 1);
        }
        for (let n = 0; n < 82; n++) place(n, n + 1);
        drain();
        inbound.confirm(inbound.pending);
        expect(Buffer.from(got).equals(stream.subarray(0, 82 * unit))).toBe(true);
        expect(buffers.out).toBe(0);
      }),
      { numRuns: 40 },
    );
  });

  test('no more gaps than the limit, and nothing beyond the budget', () => {
    const buffers = new Buffers(new SlabPool(4096), 2 * 4096);
    const inbound = new Inbound(buffers);
    const view = new DataView(new ArrayBuffer(4096));
    for (let n = 1; n <= GAPS_MAX; n++) expect(inbound.place(view, 0, 10 * n, 5)).toBe(true);
    expect(inbound.place(view, 0, 10 * GAPS_MAX + 10, 5)).toBe(false);
    expect(inbound.place(view, 0, 15, 2)).toBe(true);
    expect(inbound.place(view, 0, 0, 10)).toBe(true);
    expect(inbound.accepted).toBe(17);
    expect(inbound.place(view, 0, 20_000, 5)).toBe(true);
    expect(inbound.place(view, 0, 10_000, 5)).toBe(false);
    inbound.clear();
    expect(buffers.out).toBe(0);
  });
});

describe('what goes out', () => {
  test('can be copied from anywhere until it is released, with the right checksum', () => {
    const operation = fc.oneof(
      fc.record({
        do: fc.constant('append' as const),
        size: fc.oneof(fc.integer({ min: 0, max: 50 }), fc.integer({ min: 0, max: 9000 })),
      }),
      fc.record({ do: fc.constant('release' as const), part: fc.double({ min: 0, max: 1, noNaN: true }) }),
      fc.record({
        do: fc.constant('copy' as const),
        from: fc.double({ min: 0, max: 1, noNaN: true }),
        part: fc.double({ min: 0, max: 1, noNaN: true }),
      }),
    );
    fc.assert(
      fc.property(fc.array(operation, { maxLength: 60 }), fc.nat(3), (operations, odd) => {
        const outbound = new Outbound();
        const target = summableSlab(65_536);
        let twin = new Uint8Array(0);
        for (const step of operations) {
          if (step.do === 'append') {
            const bytes = bytesOf(step.size, twin.length);
            // Pieces come as views into larger memory.
            const inside = new Uint8Array(step.size + 7);
            inside.set(bytes, 5);
            outbound.append(inside.subarray(5, 5 + step.size));
            twin = Uint8Array.from([...twin, ...bytes]);
          } else if (step.do === 'release') {
            outbound.release(outbound.start + Math.floor(outbound.length * step.part));
          } else {
            const from = outbound.start + Math.floor(outbound.length * step.from);
            const length = Math.min(Math.floor((outbound.end - from) * step.part), 65_535 - odd);
            const total = outbound.copy(target, odd, from, length);
            const expected = twin.subarray(from, from + length);
            expect(Buffer.from(target.bytes.buffer, odd, length).equals(expected)).toBe(true);
            expect(finish(total)).toBe(finish(sum(target.view, odd, length)));
          }
          expect(outbound.end).toBe(twin.length);
          expect(outbound.pieces).toBeLessThanOrEqual(operations.length);
        }
        outbound.clear();
        expect([outbound.length, outbound.pieces]).toEqual([0, 0]);
      }),
      { numRuns: 60 },
    );
  });

  test('a native side that writes byte by byte does not cost an object per byte', () => {
    const outbound = new Outbound();
    for (let i = 0; i < 50_000; i++) outbound.append(Uint8Array.of(i));
    expect(outbound.pieces).toBeLessThan(6);
  });
});

describe('the flow table', () => {
  class Flow implements FlowEntry {
    hash = 0;
    next: FlowEntry | null = null;
    constructor(
      readonly local: Uint8Array,
      readonly remote: Uint8Array,
      readonly localPort: number,
      readonly remotePort: number,
    ) {}
  }

  test('finds what a list of flows has', () => {
    const key = fc.tuple(fc.nat(3), fc.nat(3), fc.nat(2), fc.nat(40), fc.boolean());
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.boolean(), key), { maxLength: 300 }), fc.integer(), (operations, seed) => {
        const table = new FlowTable<Flow>(seed);
        const list: Flow[] = [];
        for (const [add, [l, r, localPort, remotePort, v6]] of operations) {
          const address = (n: number) =>
            v6 ? Uint8Array.from([0xfd, ...new Array<number>(14).fill(0), n]) : Uint8Array.of(10, 0, 0, n);
          const local = address(l);
          const remote = address(r);
          const same = (f: Flow) =>
            `${f.local}` === `${local}` &&
            `${f.remote}` === `${remote}` &&
            f.localPort === localPort &&
            f.remotePort === remotePort;
          const expected = list.find(same) ?? null;
          const view = new DataView(Uint8Array.from([0, ...local, ...remote]).buffer);
          expect(table.find(view, 1, 1 + local.length, local.length, localPort, remotePort)).toBe(expected);
          expect(table.get(local, remote, localPort, remotePort)).toBe(expected);
          if (add && expected === null) {
            const flow = new Flow(local, remote, localPort, remotePort);
            table.add(flow);
            list.push(flow);
          } else if (!add && expected !== null) {
            expect(table.remove(expected)).toBe(true);
            expect(table.remove(expected)).toBe(false);
            list.splice(list.indexOf(expected), 1);
          }
          expect(table.size).toBe(list.length);
          expect(new Set(table.values())).toEqual(new Set(list));
        }
      }),
      { numRuns: 40 },
    );
  });
});

describe('segments', () => {
  const FLAGS = 'FSRPA';
  const arbitrary = fc.record({
    src: fc.nat(65535),
    dst: fc.nat(65535),
    seq: fc.nat(2 ** 32 - 1),
    ack: fc.nat(2 ** 32 - 1),
    flags: fc.constantFrom('S', 'SA', 'A', 'PA', 'FPA', 'R', 'RA'),
    window: fc.nat(65535),
    mss: fc.integer({ min: 1, max: 65535 }),
    scale: fc.integer({ min: -1, max: 14 }),
    sackPermitted: fc.boolean(),
    sack: fc.array(fc.tuple(fc.nat(2 ** 32 - 1), fc.nat(2 ** 32 - 1)), { maxLength: 3 }),
    data: fc.uint8Array({ maxLength: 50 }),
  });

  test('are written as the plain writer and reader understand them', () => {
    fc.assert(
      fc.property(arbitrary, fc.boolean(), (seg, v6) => {
        const fields = new SegmentFields();
        fields.sourcePort = seg.src;
        fields.destinationPort = seg.dst;
        fields.sequence = seg.seq;
        fields.acknowledgement = seg.ack;
        fields.flags = [...seg.flags].reduce((bits, flag) => bits | (1 << FLAGS.indexOf(flag)), 0);
        fields.window = seg.window;
        fields.mss = seg.mss;
        fields.scale = seg.scale;
        fields.sackPermitted = seg.sackPermitted;
        seg.sack.flat().forEach((edge, i) => (fields.sack[i] = edge));
        fields.sackCount = seg.sack.length;
        const address = (n: number) =>
          v6 ? Uint8Array.from([0xfd, ...new Array<number>(14).fill(0), n]) : Uint8Array.of(10, 0, 0, n);
        const ip = new IpHeader(address(1), address(2), 6);
        const view = new DataView(new ArrayBuffer(500));
        const isSyn = seg.flags.includes('S');
        const header = isSyn ? 32 : 20 + (seg.sack.length > 0 ? 4 + 8 * seg.sack.length : 0);
        new Uint8Array(view.buffer).set(seg.data, 3 + ip.length + header);
        const length = writeSegment(
          view,
          3,
          ip,
          fields,
          seg.data.length,
          sum(view, 3 + ip.length + header, seg.data.length),
        );
        const packet = new Uint8Array(view.buffer, 3, length).slice();

        const parsed = new IpPacket();
        const segment = new Segment();
        expect(parsed.parse(new DataView(packet.buffer), 0, packet.length)).toBe(true);
        expect(segment.parse(parsed)).toBe(true);
        expect(segment).toMatchObject({
          sourcePort: seg.src,
          destinationPort: seg.dst,
          sequence: seg.seq,
          acknowledgement: seg.ack,
          flags: fields.flags,
          window: seg.window,
          dataLength: seg.data.length,
          mss: isSyn ? seg.mss : 0,
          scale: isSyn ? seg.scale : -1,
          sackPermitted: isSyn && seg.sackPermitted,
          sackCount: isSyn ? 0 : seg.sack.length,
        });
        if (v6) return;
        const plain = readTcp(packet);
        expect(plain).toMatchObject({
          src: seg.src,
          dst: seg.dst,
          seq: seg.seq,
          ack: seg.ack,
          window: seg.window,
          data: seg.data,
        });
        expect([...plain.flags].sort()).toEqual([...seg.flags].sort());
        if (isSyn)
          expect([plain.mss, plain.scale ?? -1, plain.sackPermitted ?? false]).toEqual([
            seg.mss,
            seg.scale,
            seg.sackPermitted,
          ]);
        else expect(plain.sack ?? []).toEqual(seg.sack);
      }),
    );
  });

  test('damaged ones are refused or read within their bounds, and never throw', () => {
    const good = tcpPacket([10, 0, 0, 1], [10, 0, 0, 2], {
      flags: 'S',
      mss: 1380,
      scale: 7,
      sackPermitted: true,
      data: bytesOf(9),
    });
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(good.length - 1), fc.nat(255)), { maxLength: 4 }),
        fc.nat(good.length),
        (changes, length) => {
          const packet = good.slice(0, length);
          for (const [at, value] of changes) if (at < length) packet[at] = value;
          const parsed = new IpPacket();
          const segment = new Segment();
          if (!parsed.parse(new DataView(packet.buffer), 0, length)) return;
          expect(parsed.payload + parsed.payloadLength).toBeLessThanOrEqual(length);
          if (parsed.protocol === 6 && segment.parse(parsed))
            expect(segment.data + segment.dataLength).toBeLessThanOrEqual(length);
        },
      ),
    );
  });
});
