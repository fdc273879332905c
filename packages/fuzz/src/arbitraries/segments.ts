import fc from 'fast-check';

/** How TCP may cut, repeat, overlap and reorder a stream. */

export interface Segment {
  /** offset in the stream */
  readonly from: number;
  readonly length: number;
  /** bytes of it that a capture kept */
  readonly captured: number;
}

export interface Segmentation {
  readonly length: number;
  /** sequence number of the first byte */
  readonly initial: number;
  readonly segments: readonly Segment[];
}

/** Segments that cover some of a stream, maybe all of it, in any order. */
export const segmentation: fc.Arbitrary<Segmentation> = fc
  .tuple(
    fc.oneof(fc.integer({ min: 1, max: 60 }), fc.integer({ min: 1, max: 6000 })),
    fc.constantFrom(0, 1000, 0xffff_fff0, 0x7fff_fff0),
    fc.array(fc.tuple(fc.nat({ max: 999 }), fc.nat({ max: 999 }), fc.constantFrom(1, 1, 1, 1, 0.5, 0)), {
      maxLength: 24,
      size: 'max',
    }),
    fc.boolean(),
    fc.integer({ min: 1, max: 1500 }),
    fc.nat({ max: 100 }),
  )
  .map(([length, initial, picks, complete, size, turn]) => {
    const segments: Segment[] = picks.map(([a, b, kept]) => {
      const from = Math.floor((a / 1000) * length);
      const n = Math.max(1, Math.min(length - from, Math.floor((b / 1000) * size) + 1));
      return { from, length: n, captured: Math.floor(n * kept) };
    });
    if (complete) {
      const whole: Segment[] = [];
      for (let from = 0; from < length; from += size) {
        const n = Math.min(size, length - from);
        whole.push({ from, length: n, captured: n });
      }
      // Turned, so that most of them come early or late.
      const cut = turn % (whole.length + 1);
      segments.push(...whole.slice(cut), ...whole.slice(0, cut));
    }
    return { length, initial, segments };
  });
