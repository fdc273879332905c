import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { StreamAssembler, type GapReason } from '../../src/capture/reassembly.js';
import { noise } from './frames.js';

interface Gap {
  readonly at: number;
  readonly length: number;
  readonly why: GapReason;
}

/** An assembler whose output is kept, byte by byte by position. */
function assembler() {
  const out = new Map<number, number>();
  const gaps: Gap[] = [];
  const store = { used: 0 };
  let next = 0;
  const stream = new StreamAssembler(
    {
      data(position, bytes, offset, length) {
        expect(position).toBe(next);
        for (let i = 0; i < length; i++) out.set(position + i, bytes[offset + i]!);
        next = position + length;
      },
      gap(position, length, why) {
        expect(position).toBe(next);
        gaps.push({ at: position, length, why });
        next = position + length;
      },
    },
    store,
  );
  return { stream, out, gaps, store, position: () => next };
}

interface Piece {
  readonly from: number;
  readonly length: number;
  readonly captured: number;
}

/** Segments of one stream of `total` bytes: any order, overlapping, repeated, cut. */
const piecesArbitrary = fc.record({
  total: fc.integer({ min: 1, max: 120 }),
  initial: fc.oneof(fc.integer({ min: 0, max: 0xffffffff }), fc.integer({ min: 0xffffff80, max: 0xffffffff })),
  pieces: fc.array(
    fc.record({
      from: fc.nat(110),
      length: fc.integer({ min: 1, max: 40 }),
      cut: fc.oneof(fc.constant(0), fc.nat(10)),
    }),
    { maxLength: 25 },
  ),
});

describe('stream reassembly', () => {
  test('gives every byte that was captured once and in order, and gaps for exactly the others', () => {
    fc.assert(
      fc.property(piecesArbitrary, ({ total, initial, pieces }) => {
        const bytes = noise(total, initial + 1);
        const segments: Piece[] = pieces.flatMap(({ from, length, cut }) => {
          if (from >= total) return [];
          const real = Math.min(length, total - from);
          return [{ from, length: real, captured: Math.max(0, real - cut) }];
        });
        const { stream, out, gaps, store, position } = assembler();
        stream.anchor(initial);
        for (const { from, length, captured } of segments) {
          // Only the captured bytes are there to be read.
          const data = bytes.slice(from, from + captured);
          stream.segment((initial + from) >>> 0, data, 0, captured, length);
        }
        stream.end();
        expect(store.used).toBe(0);
        // The slow twin: which bytes some segment brought, and up to where any segment reached. Cut bytes are given up as soon as they are
        // next in order, so a later segment may bring some of them too late.
        const seen = new Set(
          segments.flatMap(({ from, captured }) => Array.from({ length: captured }, (_, i) => from + i)),
        );
        const end = Math.max(0, ...segments.map(({ from, length }) => from + length));
        expect(position()).toBe(end);
        const isCut = segments.some(({ captured, length }) => captured < length);
        for (let i = 0; i < end; i++) {
          if (out.has(i)) expect(out.get(i)).toBe(bytes[i]);
          if (!isCut) expect(out.has(i)).toBe(seen.has(i));
          else if (!seen.has(i)) expect(out.has(i)).toBe(false);
        }
        expect(out.size + gaps.reduce((sum, { length }) => sum + length, 0)).toBe(end);
        expect(stream.delivered).toBe(out.size);
        expect(stream.missing).toBe(end - out.size);
      }),
      { numRuns: 500 },
    );
  });

  test('what comes in order is handed on at once, without a copy', () => {
    const seen: Uint8Array[] = [];
    const stream = new StreamAssembler(
      { data: (_position, bytes) => seen.push(bytes), gap: () => undefined },
      { used: 0 },
    );
    stream.anchor(100);
    const bytes = noise(10);
    stream.segment(100, bytes, 0, 10, 10);
    expect(seen[0]).toBe(bytes);
  });

  test('what came first stays where segments disagree', () => {
    const { stream, out } = assembler();
    stream.anchor(0);
    stream.segment(4, Uint8Array.of(1, 1, 1, 1), 0, 4, 4);
    stream.segment(2, Uint8Array.of(2, 2, 2, 2, 2, 2, 2, 2), 0, 8, 8);
    stream.segment(0, Uint8Array.of(3, 3, 3), 0, 3, 3);
    expect([...out.values()]).toEqual([3, 3, 2, 2, 1, 1, 1, 1, 2, 2].map((n, i) => (i === 2 ? 2 : n)));
  });

  test('sequence numbers wrap, several times', () => {
    const at: number[] = [];
    const stream = new StreamAssembler({ data: (position) => at.push(position), gap: () => undefined }, { used: 0 });
    const initial = 0xfffffc00;
    stream.anchor(initial);
    const block = noise(1 << 16);
    const many = 3 * 65536 + 5;
    for (let i = 0; i < many; i++) {
      stream.segment((initial + i * block.length) >>> 0, block, 0, block.length, block.length);
    }
    expect(at).toHaveLength(many);
    expect(at[many - 1]).toBe((many - 1) * block.length);
  });

  test('a retransmission is counted and brings nothing', () => {
    const { stream, out } = assembler();
    stream.anchor(0);
    const bytes = noise(10);
    stream.segment(0, bytes, 0, 10, 10);
    stream.segment(0, bytes, 0, 10, 10);
    stream.segment(2, bytes, 2, 5, 5);
    expect(stream.repeated).toBe(2);
    expect(out.size).toBe(10);
  });

  test('joined in the middle, it begins with the lowest byte seen', () => {
    const { stream, out, gaps } = assembler();
    const bytes = noise(30);
    stream.segment(1020, bytes, 20, 10, 10);
    stream.segment(1000, bytes, 0, 10, 10);
    stream.segment(1010, bytes, 10, 10, 10);
    expect(out.size).toBe(0);
    stream.anchor();
    expect([...out.values()]).toEqual([...bytes]);
    expect(gaps).toEqual([]);
  });

  test('a SYN that comes late says where the stream begins, and what lies before it is no part of it', () => {
    const { stream, out } = assembler();
    const bytes = noise(8);
    stream.segment(999, Uint8Array.of(0xee), 0, 1, 1);
    stream.segment(1004, bytes, 4, 4, 4);
    stream.anchor(1000);
    stream.segment(1000, bytes, 0, 4, 4);
    expect([...out.values()]).toEqual([...bytes]);
  });

  test('bytes known only from acknowledgements are a gap at the end', () => {
    const { stream, gaps } = assembler();
    stream.anchor(0);
    stream.segment(0, noise(5), 0, 5, 5);
    stream.end(12);
    expect(gaps).toEqual([{ at: 5, length: 7, why: 'lost' }]);
  });

  test('memory is bounded: a hole with too much behind it is given up', () => {
    const { stream, store, gaps } = assembler();
    stream.anchor(0);
    for (let i = 0; i < 10_000; i++) stream.segment(10 + 2 * i, Uint8Array.of(i), 0, 1, 1);
    expect(stream.pieces).toBeLessThanOrEqual(8192);
    expect(gaps[0]).toEqual({ at: 0, length: 10, why: 'lost' });
    stream.end();
    expect(stream.delivered).toBe(10_000);
    expect(store.used).toBe(0);
  });

  test('segments far off the stream are ignored, unless they go on: then it is another stream', () => {
    const { stream, out, gaps } = assembler();
    stream.anchor(0);
    stream.segment(0, noise(4), 0, 4, 4);
    const far = 0x90000000;
    for (let i = 0; i < 7; i++) stream.segment(far + 4 * i, noise(4, i + 1), 0, 4, 4);
    expect(out.size).toBe(4);
    stream.segment(4, noise(4, 9), 0, 4, 4);
    expect(out.size).toBe(8);
    for (let i = 0; i < 8; i++) stream.segment(far + 4 * i, noise(4, i + 1), 0, 4, 4);
    expect(gaps).toEqual([{ at: 8, length: 0, why: 'lost' }]);
    stream.segment(far + 32, noise(4, 77), 0, 4, 4);
    expect([...out.values()].slice(-4)).toEqual([...noise(4, 77)]);
  });
});
