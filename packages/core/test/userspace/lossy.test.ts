import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { LossyPair, streamByte, type SideScript, type Step } from './lossy.js';

const faults = fc.record({
  loss: fc.constantFrom(0, 0.01, 0.05, 0.1),
  duplication: fc.constantFrom(0, 0.05, 0.3),
  reordering: fc.constantFrom(0, 0.1, 0.5),
  delay: fc.constantFrom(0, 1, 20),
  jitter: fc.constantFrom(1, 30),
  queue: fc.constantFrom(8, 64, 4096),
});

const quiet: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('write' as const),
      bytes: fc.oneof(fc.integer({ min: 1, max: 100 }), fc.integer({ min: 1, max: 60_000 })),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('wait' as const), ms: fc.constantFrom(1, 50, 3_000) }) },
);
const slowness = fc.constantFrom(0, 1, 40, 700);

/** How each side's super-packets travel. */
const way = fc.constantFrom(undefined, 'cut' as const, 'whole' as const, 'refused' as const);
const supers = fc.tuple(way, way);

function ending(last: Step[]): fc.Arbitrary<SideScript> {
  return fc.record({ steps: fc.array(quiet, { maxLength: 10 }).map((steps) => [...steps, ...last]), slowness });
}

function writes(...sizes: number[]): Step[] {
  return sizes.map((bytes) => ({ do: 'write', bytes }));
}

/** Received is the beginning of what was sent. @returns how much of it */
function checkPrefix(pair: LossyPair, receiver: 0 | 1): number {
  const bytes = pair.sides[receiver].native?.bytes ?? new Uint8Array(0);
  const wrong = bytes.findIndex((byte, i) => byte !== streamByte(1 - receiver, i));
  expect(wrong).toBe(-1);
  return bytes.length;
}

function checkEmpty(pair: LossyPair): void {
  for (const { world } of pair.sides) {
    expect(world.stack.tcp.table.size).toBe(0);
    expect(world.stack.tcp.admission.flows).toBe(0);
    expect(world.stack.tcp.readAhead).toBe(0);
    expect(world.stack.tcp.admission.halfOpen).toBe(0);
    expect(world.stack.buffersInUse).toBe(0);
    expect(world.stack.nextWakeAt(world.now)).toBe(Infinity);
  }
}

describe('two stacks with a bad path between them', () => {
  test('every byte arrives once and in order, both ends are heard, and nothing is left', () => {
    fc.assert(
      fc.property(
        faults,
        ending([{ do: 'end' }]),
        ending([{ do: 'end' }]),
        fc.integer(),
        supers,
        (path, a, b, seed, how) => {
          const pair = new LossyPair(path, [a, b], seed, how);
          pair.run(3_600_000);
          const [first, second] = pair.sides;
          expect([first.native?.calls, second.native?.calls]).toEqual([
            ['established', 'end', 'close'],
            ['established', 'end', 'close'],
          ]);
          expect(checkPrefix(pair, 1)).toBe(first.written);
          expect(checkPrefix(pair, 0)).toBe(second.written);
          checkEmpty(pair);
        },
      ),
      {
        numRuns: 60,
        examples: [
          // Both ends were sending old data again, each believed that the other's window was closed, and each took the other's word for old.
          [
            { loss: 0.1, duplication: 0.05, reordering: 0, delay: 0, jitter: 1, queue: 8 },
            { steps: [...writes(12421, 29785, 40, 94, 18060, 75, 3875), { do: 'end' }], slowness: 700 },
            { steps: [...writes(8746, 37401, 91), { do: 'end' }], slowness: 700 },
            -1861145111,
            [undefined, undefined],
          ],
        ],
      },
    );
  });

  test('a reset on one side reaches the other, and what came before it is right', () => {
    fc.assert(
      fc.property(faults, ending([{ do: 'reset' }]), ending([]), fc.integer(), supers, (path, a, b, seed, how) => {
        const pair = new LossyPair({ ...path, loss: Math.min(path.loss, 0.05), queue: 4096 }, [a, b], seed, how);
        pair.run(3_600_000);
        const [first, second] = pair.sides;
        expect(first.native?.calls).toEqual(['established', 'broke']);
        expect(second.native?.calls.at(-1)).toBe('reset');
        expect(checkPrefix(pair, 1)).toBeLessThanOrEqual(first.written);
        expect(checkPrefix(pair, 0)).toBeLessThanOrEqual(second.written);
        checkEmpty(pair);
      }),
      { numRuns: 40 },
    );
  });
});
