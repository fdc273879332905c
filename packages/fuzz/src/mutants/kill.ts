import { Worker } from 'node:worker_threads';
import fc from 'fast-check';
import type { Target } from '../target.js';
import { TARGETS } from '../targets/all.js';

/**
 * Runs targets against whatever core is beside this copy of the package, and says whether one of them noticed anything.
 *
 *     node kill.js FIXTURES ROUNDS TARGET…
 *
 * The last line is `killed TARGET: MESSAGE` or `survived`. What runs for ever ends by SIGKILL.
 */

/** CPU time for all rounds of what a test runs once, and from when on a single one counts as endless, ms: a busy machine must not change the verdict. */
const TIME = 60_000;
const ENDLESS = 120_000;

const cpu = (): number => {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
};

/** A loop that never ends leaves nobody else to stop it. */
new Worker(
  `setInterval(() => {
    const { user, system } = process.cpuUsage();
    if (user + system > ${ENDLESS * 1000}) process.kill(process.pid, 'SIGKILL');
  }, 500)`,
  { eval: true },
).unref();

const [fixtures, rounds, ...names] = process.argv.slice(2);
const all: readonly Target[] = names.some((name) => name === 'recording' || name === 'replay-engine')
  ? (await import('../campaign/subjects.js')).subjects(fixtures!)
  : TARGETS;
console.log(kill(names.map((name) => all.find((subject) => subject.name === name)!)));

function kill(subjects: readonly Target[]): string {
  for (let seed = 1; seed <= Number(rounds); seed++) {
    for (const subject of subjects) {
      const details = fc.check(
        fc.property(subject.arbitrary, (input) => void subject.check(input)),
        { seed, numRuns: subject.runs, endOnFailure: true },
      );
      if (details.failed) {
        const { errorInstance: error } = details;
        return `killed ${subject.name}: ${(error instanceof Error ? error.message : String(error)).split('\n')[0]!}`;
      }
      if (cpu() > TIME) return 'survived';
    }
  }
  return 'survived';
}
