import fc from 'fast-check';
import { ReplayWindow } from '@wirestream/core/noise/replay';
import { mustEqual, target } from '../target.js';

/** How far behind the newest a counter may be (kernel messages.h: 8192 bits less one word of 64). */
const WINDOW = 8128n;
const LIMIT = 2n ** 64n - 2n ** 13n - 1n;

const step = fc.oneof(
  fc.integer({ min: -70, max: 70 }),
  fc.integer({ min: -8_300, max: 8_300 }),
  fc.constantFrom(0, 1, -1, 31, 32, 33, -8_127, -8_128, -8_129, -8_191, -8_192, -8_193, 8_191, 8_192, 8_193, 100_000),
);

interface Input {
  readonly start: bigint;
  readonly steps: number[];
}

/** A set of everything seen, and the newest. */
class NaiveWindow {
  readonly seen = new Set<bigint>();
  newest = -1n;

  accept(counter: bigint): boolean {
    if (counter >= LIMIT || this.seen.has(counter) || this.newest - counter > WINDOW) return false;
    this.seen.add(counter);
    if (counter > this.newest) this.newest = counter;
    return true;
  }
}

export const replayWindow = target<Input>({
  name: 'replay',
  says: 'the window accepts exactly what a set of all counters accepts',
  runs: 300,
  arbitrary: fc.record({
    start: fc.constantFrom(0n, 5n, 2n ** 32n - 40n, 2n ** 32n * 3n - 8_000n, 2n ** 53n, LIMIT - 9_000n, LIMIT - 20n),
    steps: fc.array(step, { maxLength: 120, size: 'max' }),
  }),
  check({ start, steps }) {
    const window = new ReplayWindow();
    const naive = new NaiveWindow();
    let newest = start;
    for (const n of [0, ...steps]) {
      const counter = newest + BigInt(n);
      if (counter < 0n || counter >= 2n ** 64n) continue;
      const [hi, lo] = [Number(counter >> 32n), Number(counter & 0xffff_ffffn)];
      const expected = naive.accept(counter);
      mustEqual(window.check(hi, lo), expected, `whether ${counter} may be accepted after ${naive.newest}`);
      mustEqual(window.accept(hi, lo), expected, `whether ${counter} is accepted`);
      mustEqual(window.check(hi, lo), false, `whether ${counter} may be accepted again`);
      mustEqual(window.isNewest(hi, lo), counter === naive.newest, 'newest');
      if (naive.newest >= 0n) newest = naive.newest;
    }
  },
});
