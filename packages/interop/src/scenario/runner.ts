/**
 * Scenarios: lists of steps that both ends go through together.
 *
 * Theory of operation. A step names the side that acts, says in words what it does, and has a time limit; the runner carries out one after the other and
 * writes down when each began and how it ended, with whatever either side is asked to do in between. When one fails, or takes too long, the
 * scenario has failed; what was written down says what either side did last. However a scenario ends, its ends are taken away.
 */
import type { Side } from './plan.js';

export type Acting = Side | 'both';

export interface Step<C> {
  readonly side: Acting;
  readonly text: string;
  /** seconds */
  readonly limit: number;
  run(context: C): Promise<string | void>;
}

export interface Scenario<C> {
  readonly name: string;
  readonly steps: readonly Step<C>[];
  /** why it cannot run here; absent when it can */
  readonly skip?: string;
}

export interface LogEntry {
  /** ms since the scenario began */
  readonly at: number;
  readonly side: Acting;
  readonly text: string;
  /** what came of it; null while it is going on */
  outcome: string | null;
}

export type Verdict = 'passed' | 'failed' | 'skipped';

export interface Result {
  readonly name: string;
  readonly verdict: Verdict;
  readonly seconds: number;
  /** reason of a failure or of skipping */
  readonly reason: string | null;
  readonly log: readonly LogEntry[];
  /** folder with what was kept */
  kept: string | null;
}

/**
 * Runs one scenario. Neither a step nor the time that it takes can make this fail or hang.
 * @param slowness by how much the steps' time limits are multiplied
 */
export async function runScenario<C>(
  scenario: Scenario<C>,
  context: C,
  clock: () => number = () => performance.now(),
  signal?: AbortSignal,
  slowness = 1,
): Promise<Result> {
  const began = clock();
  const log: LogEntry[] = [];
  const result = (verdict: Verdict, reason: string | null): Result => ({
    name: scenario.name,
    verdict,
    seconds: (clock() - began) / 1000,
    reason,
    log,
    kept: null,
  });
  const isStopped = (): boolean => signal?.aborted === true;
  if (scenario.skip !== undefined) return result('skipped', scenario.skip);
  for (const step of scenario.steps) {
    if (isStopped()) return result('skipped', 'interrupted');
    const entry: LogEntry = { at: clock() - began, side: step.side, text: step.text, outcome: null };
    log.push(entry);
    try {
      entry.outcome = (await limited(step.run(context), step.limit * slowness, signal)) ?? 'done';
    } catch (error) {
      // Whatever it says, it was in the middle of something: nothing is known of the step.
      if (isStopped()) return result('skipped', 'interrupted');
      const message = error instanceof Error ? error.message : String(error);
      entry.outcome = `FAILED: ${message}`;
      return result('failed', `${step.text}: ${message}`);
    }
  }
  return result('passed', null);
}

async function limited<T>(work: Promise<T>, seconds: number, signal?: AbortSignal): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  let stop: (() => void) | undefined;
  const end = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`not done within ${seconds} s`)), seconds * 1000);
    stop = () => reject(new Error('interrupted'));
    signal?.addEventListener('abort', stop);
  });
  // Whoever comes second must not end the process.
  work.catch(() => undefined);
  try {
    return await Promise.race([work, end]);
  } finally {
    clearTimeout(timer);
    if (stop !== undefined) signal?.removeEventListener('abort', stop);
  }
}

/** What a side did last, in words; null when it did nothing. */
export function lastDone(log: readonly LogEntry[], side: Side): string | null {
  const entry = log.filter((e) => e.side === side || e.side === 'both').at(-1);
  return entry === undefined
    ? null
    : `${(entry.at / 1000).toFixed(1)} s: ${entry.text} → ${entry.outcome ?? 'not finished'}`;
}
