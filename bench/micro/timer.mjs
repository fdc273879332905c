import { summary } from '../lib/statistics.mjs';

/**
 * Times pieces of work by the processor time that they take, which on a quiet machine is the time that passes and on a busy one is not lengthened by the
 * others' turns.
 */

/** How often a piece of work is timed, and for how long each time, ms. */
const RUNS = { full: 9, quick: 5 };
const SPAN = { full: 150, quick: 40 };

/**
 * How long `work` takes.
 * @param {(times: number) => void} work does it so many times
 * @returns seconds for one time: median, extremes, and every run's
 */
export function timed(work, { quick = false } = {}) {
  const span = quick ? SPAN.quick : SPAN.full;
  let times = 1;
  // Also warms the code up. The last doubling gives the scale of one run.
  for (;;) {
    const took = clock(work, times);
    if (took > span / 2) break;
    times *= took < span / 50 ? 8 : 2;
  }
  const runs = Array.from({ length: quick ? RUNS.quick : RUNS.full }, () => clock(work, times) / times / 1000);
  return summary(runs);
}

/** @returns ms */
function clock(work, times) {
  const before = process.cpuUsage();
  work(times);
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1000;
}

/** A result: `amount` in `seconds` (a summary), in units of `scale`. */
export function rate(what, unit, amount, seconds, scale) {
  const of = (s) => amount / s / scale;
  return { what, unit, median: of(seconds.median), min: of(seconds.max), max: of(seconds.min) };
}
