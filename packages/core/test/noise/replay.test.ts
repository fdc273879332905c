import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { REPLAY_WINDOW, ReplayWindow } from '../../src/noise/replay.js';

const REJECT = 2n ** 64n - 2n ** 13n - 1n;

function accept(window: ReplayWindow, counter: bigint): boolean {
  const [hi, lo] = [Number(counter >> 32n), Number(counter & 0xffffffffn)];
  const expected = window.check(hi, lo);
  const accepted = window.accept(hi, lo);
  if (accepted !== expected) throw new Error(`check and accept disagree on ${counter}`);
  return accepted;
}

// The sequence of checks in the kernel's selftest/counter.c; `far` is one more than the window.
const far = BigInt(REPLAY_WINDOW) + 1n;
const ORDERED: [bigint, boolean][] = [
  [0n, true],
  [1n, true],
  [1n, false],
  [9n, true],
  [8n, true],
  [7n, true],
  [7n, false],
  [far, true],
  [far - 1n, true],
  [far - 1n, false],
  [far - 2n, true],
  [2n, true],
  [2n, false],
  [far + 16n, true],
  [3n, false],
  [far + 16n, false],
  [far * 4n, true],
  [far * 4n - (far - 1n), true],
  [10n, false],
  [far * 4n - far, false],
  [far * 4n - (far + 1n), false],
  [far * 4n - (far - 2n), true],
  [far * 4n + 1n - far, false],
  [0n, false],
  [REJECT, false],
  [REJECT - 1n, true],
  [REJECT, false],
  [REJECT - 1n, false],
  [REJECT - 2n, true],
  [REJECT + 1n, false],
  [REJECT + 2n, false],
  [REJECT - 2n, false],
  [REJECT - 3n, true],
  [0n, false],
];

describe('as the kernel checks it', () => {
  test('34 checks in order', () => {
    const window = new ReplayWindow();
    ORDERED.forEach(([counter, expected], i) => {
      expect([i + 1, accept(window, counter)]).toEqual([i + 1, expected]);
    });
    expect(ORDERED).toHaveLength(34);
    expect(REPLAY_WINDOW).toBe(8128);
  });

  const up = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, i) => from + i);
  const down = (from: number, to: number) => up(to, from).reverse();
  test.each<[string, number[], [number, boolean][]]>([
    [
      'up from 1, then 0 twice',
      up(1, REPLAY_WINDOW),
      [
        [0, true],
        [0, false],
      ],
    ],
    [
      'up from 2, then 1 and 0',
      up(2, REPLAY_WINDOW + 1),
      [
        [1, true],
        [0, false],
      ],
    ],
    ['down from the window to 0', down(REPLAY_WINDOW, 0), []],
    ['down from one more to 1, then 0', down(REPLAY_WINDOW + 1, 1), [[0, false]]],
    [
      'down to 1, one more, then 0',
      down(REPLAY_WINDOW, 1),
      [
        [REPLAY_WINDOW + 1, true],
        [0, false],
      ],
    ],
    [
      'down to 1, 0, then one more',
      down(REPLAY_WINDOW, 1),
      [
        [0, true],
        [REPLAY_WINDOW + 1, true],
      ],
    ],
  ])('sweep %s', (_name, sweep, then) => {
    const window = new ReplayWindow();
    expect(sweep.filter((counter) => !accept(window, BigInt(counter)))).toEqual([]);
    for (const [counter, expected] of then) expect(accept(window, BigInt(counter))).toBe(expected);
  });
});

test('checking marks nothing', () => {
  const window = new ReplayWindow();
  expect(window.check(0, 5)).toBe(true);
  expect(window.check(0, 5)).toBe(true);
  expect(window.accept(0, 5)).toBe(true);
  expect(window.check(0, 5)).toBe(false);
  expect(window.check(0, 4)).toBe(true);
});

test.each([8192n, 2n * 8192n, 2n ** 32n, 2n ** 40n])('nothing is left of what was seen %i counters ago', (jump) => {
  const window = new ReplayWindow();
  for (let i = 0n; i < 80n; i++) accept(window, i);
  expect(accept(window, 79n + jump)).toBe(true);
  for (let i = 0n; i < 79n; i++) expect(accept(window, i + jump)).toBe(true);
});

/** The obvious twin: every counter ever accepted, and the newest of them. */
class SlowWindow {
  readonly seen = new Set<bigint>();
  newest = -1n;
  accept(counter: bigint): boolean {
    if (counter >= REJECT || this.seen.has(counter) || this.newest - counter > BigInt(REPLAY_WINDOW)) return false;
    this.seen.add(counter);
    if (counter > this.newest) this.newest = counter;
    return true;
  }
}

test('equals a set of everything seen', () => {
  const step = fc.oneof(
    { weight: 6, arbitrary: fc.bigInt(-20n, 20n) },
    { weight: 3, arbitrary: fc.bigInt(-8300n, 8300n) },
    { weight: 2, arbitrary: fc.bigInt(-8200n, -8050n) },
    { weight: 1, arbitrary: fc.bigInt(-(2n ** 33n), 2n ** 33n) },
  );
  const start = fc.constantFrom(
    0n,
    8192n,
    2n ** 32n - 5n,
    2n ** 40n,
    2n ** 53n,
    2n ** 63n - 3n,
    REJECT - 9000n,
    REJECT - 3n,
  );
  fc.assert(
    fc.property(start, fc.array(step, { minLength: 1, maxLength: 300 }), (from, steps) => {
      const window = new ReplayWindow();
      const slow = new SlowWindow();
      let at = from;
      for (const by of steps) {
        const target = at + by;
        if (target < 0n || target >= 2n ** 64n) continue;
        if (accept(window, target) !== slow.accept(target)) throw new Error(`differs at ${target}`);
        if (slow.newest >= 0n) at = slow.newest;
      }
    }),
    { numRuns: 300 },
  );
});
