import fc from 'fast-check';
import type { Target } from '../target.js';
import { TARGETS } from '../targets/all.js';

/**
 * Runs targets against whatever core is beside this copy of the package, and says whether one of them noticed anything.
 *
 *     node kill.js FIXTURES TARGET…
 *
 * The last line is `killed TARGET: MESSAGE` or `survived`.
 */

/** Rounds of what a test runs once, each with a seed of its own; time for all of them, ms. */
const ROUNDS = 8;
const TIME = 60_000;

const [fixtures, ...names] = process.argv.slice(2);
const all: readonly Target[] = names.includes('recording')
  ? (await import('../campaign/subjects.js')).subjects(fixtures!)
  : TARGETS;
console.log(kill(names.map((name) => all.find((subject) => subject.name === name)!)));

function kill(subjects: readonly Target[]): string {
  const started = performance.now();
  for (let seed = 1; seed <= ROUNDS; seed++) {
    for (const subject of subjects) {
      const details = fc.check(
        fc.property(subject.arbitrary, (input) => void subject.check(input)),
        { seed, numRuns: subject.runs, endOnFailure: true },
      );
      if (details.failed) {
        const { errorInstance: error } = details;
        return `killed ${subject.name}: ${(error instanceof Error ? error.message : String(error)).split('\n')[0]!}`;
      }
      if (performance.now() - started > TIME) return 'survived';
    }
  }
  return 'survived';
}
