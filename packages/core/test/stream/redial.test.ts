import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { Redial } from '../../src/stream/redial.js';

/** Dials that all fail, each after `answers` ms (or when its time is up). @returns when each began, ms */
function failing(redial: Redial, start: number, until: number, answers: number): number[] {
  const dials: number[] = [];
  for (let now = start; now < until; now = redial.at) {
    dials.push(now);
    const patience = redial.begun(now);
    redial.failed(now + Math.min(patience, answers));
    expect(redial.at).toBeGreaterThan(now);
  }
  return dials;
}

const gaps = (times: readonly number[]) => times.slice(1).map((time, i) => time - times[i]!);

describe('re-dial', () => {
  test('dials that fail are repeated after half a second, then later and later, up to half a minute', () => {
    const dials = failing(new Redial(() => 0), 0, 200_000, 1);
    expect(gaps(dials).slice(0, 8)).toEqual([500, 1_000, 2_000, 2_000, 2_000, 2_000, 2_000, 4_000]);
    expect(new Set(gaps(dials).slice(10))).toEqual(new Set([30_000]));
  });

  test('whatever the jitter and however a dial fails: 2 s at most while it is young, half a minute at most ever', () => {
    fc.assert(
      fc.property(
        fc.infiniteStream(fc.double({ min: 0, max: 0.999, noNaN: true })),
        fc.integer({ min: 1, max: 20_000 }),
        (random, answers) => {
          const redial = new Redial(() => random.next().value as number);
          const dials = failing(redial, 5_000, 400_000, answers);
          for (const [i, gap] of gaps(dials).entries()) {
            expect(gap).toBeLessThan(30_000.1);
            // One that is not answered at all takes as long as it is waited for.
            if (answers <= 2_000 && dials[i]! < 13_000) expect(gap).toBeLessThan(2_000.1);
          }
        },
      ),
      { numRuns: 100 },
    );
  });

  test('for ten seconds after a peer was lost it is tried every half second: it may be restarting', () => {
    const redial = new Redial(() => 0);
    redial.lost(60_000, 0);
    const dials = failing(redial, 60_000, 90_000, 1);
    expect(new Set(gaps(dials.filter((at) => at < 70_000)))).toEqual(new Set([500]));
    expect(Math.max(...gaps(dials))).toBeGreaterThan(1_000);
  });

  test('a connection that had been of use is replaced at once by whoever dialled it, a moment later by the other end', () => {
    const redial = new Redial(() => 0);
    redial.lost(60_000, 0);
    redial.nothingLeft(60_000, 0, true);
    expect(redial.at).toBe(60_000);
    redial.nothingLeft(60_000, 0, false);
    expect(redial.at).toBe(60_050);
  });

  test('one that is lost again and again soon after it authenticated is replaced later and later', () => {
    const redial = new Redial(() => 0);
    const delays = Array.from({ length: 4 }, () => {
      redial.lost(1_000, 0);
      redial.nothingLeft(1_000, 0, true);
      return redial.at - 1_000;
    });
    expect(delays).toEqual([100, 200, 400, 800]);
    // Until one lives.
    redial.lost(20_000, 10_000);
    redial.lost(21_000, 20_500);
    redial.nothingLeft(21_000, 20_500, true);
    expect(redial.at).toBe(21_100);
  });

  test('nothing that failed before counts once the peer was reached', () => {
    const redial = new Redial(() => 0);
    failing(redial, 0, 100_000, 1);
    expect(redial.permits(100_000)).toBe(false);
    redial.reset();
    expect([redial.permits(100_000), redial.at]).toEqual([true, Infinity]);
    redial.begun(100_000);
    redial.failed(100_001);
    expect(redial.at).toBe(100_500);
  });
});
