import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { nativeCrypto } from '@wirestream/core/noise/native';
import { STEPS, campaign, nameOf, printFailure, scriptOf } from '../sim/campaign.js';
import { narrate } from '../sim/narrate.js';
import { runScript, type Outcome } from '../sim/run.js';
import { printScript, type Script } from '../sim/steps.js';
import { toyCrypto } from '../sim/toycrypto.js';

/**
 * `npm run sim`: simulated runs by the thousand, or one of them again.
 *
 * Many runs are dealt out to threads in batches; what comes back of a batch is which states it came to, its slowest recovery, and the failure if there was
 * one. The first failure ends the campaign, shrunk and printed with its seed.
 */
export const USAGE = `usage:
  npm run sim -- --runs 100000 [--from SEED] [--steps M] [--jobs N]   random runs, until one fails
  npm run sim -- --forever                                            the same without an end
  npm run sim -- --seed N [--steps M] [--story]                       one run again
  npm run sim -- --script FILE [--story]                              a printed script again
  --real  with the real primitives, which take ten times as long
  --story tells what happens in the run, event by event
  --print prints the script of --seed and does not run it`;

/** Runs of one batch: a few seconds. */
const BATCH = 250;

interface Batch {
  readonly from: number;
  readonly runs: number;
  readonly steps: number;
  readonly real: boolean;
}

/** What crosses between threads. */
interface Report {
  readonly runs: number;
  readonly states: [string, number][];
  readonly transitions: [string, number][];
  readonly slowest: { readonly ms: number; readonly seed: number };
  readonly failure: string | null;
}

export interface SimOptions {
  readonly out: (line: string) => void;
}

/** @returns the exit code: 0 when every property held */
export async function sim(args: readonly string[], { out }: SimOptions): Promise<number> {
  const number = { type: 'string' } as const;
  const flag = { type: 'boolean', default: false } as const;
  const { values } = parseArgs({
    args: [...args],
    options: {
      runs: number,
      from: number,
      seed: number,
      steps: number,
      jobs: number,
      script: { type: 'string' },
      forever: flag,
      real: flag,
      story: flag,
      print: flag,
      help: flag,
    },
  });
  if (values.help) {
    out(USAGE);
    return 0;
  }
  const steps = integer('steps', values.steps, STEPS);
  const one = values.script ?? values.seed;
  if (one !== undefined) {
    const script =
      values.script === undefined
        ? scriptOf(integer('seed', one, 0), steps)
        : (JSON.parse(readFileSync(values.script, 'utf8')) as Script);
    if (values.print) {
      out(printScript(script));
      return 0;
    }
    return again(script, values.real, values.story, out);
  }
  const runs = values.forever ? Infinity : integer('runs', values.runs, 2_000);
  const from = integer('from', values.from, Math.floor(Math.random() * 0x40000000));
  const jobs = integer('jobs', values.jobs, availableParallelism());
  return many({ from, runs, steps, real: values.real }, Math.max(1, jobs), out);
}

function integer(name: string, text: string | undefined, otherwise: number): number {
  if (text === undefined) return otherwise;
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 0)
    throw new Error(`--${name} wants a whole number, not ${text}\n${USAGE}`);
  return value;
}

/** One run, told in detail. */
function again(script: Script, real: boolean, story: boolean, out: (line: string) => void): number {
  const crypto = real ? nativeCrypto : toyCrypto;
  out(printScript(script));
  let outcome: Outcome;
  try {
    outcome = runScript(script, { crypto, ...(story ? { onWorld: (world) => narrate(world, out) } : {}) });
  } catch (error) {
    out(`FAILED ${error instanceof Error ? error.message : String(error)} (${nameOf(error)})`);
    return 1;
  }
  const { world, slowest } = outcome;
  const lost = world.pings.filter((ping) => ping.repliedAt === Infinity).length;
  out(`all properties hold: ${script.steps.length} steps, ${(world.now / 1000).toFixed(0)} s on the clock`);
  out(`${world.pings.length} pings, ${lost} without a reply; back ${slowest.toFixed(0)} ms after the repair`);
  out(`${world.states.states.size} states, ${world.states.transitions.size} transitions`);
  return 0;
}

async function many(all: Batch, jobs: number, out: (line: string) => void): Promise<number> {
  const states = new Map<string, number>();
  const transitions = new Map<string, number>();
  let [done, next, slowest] = [0, all.from, { ms: 0, seed: all.from }];
  let failure: string | null = null;
  const started = performance.now();
  out(`seeds from ${all.from}, at most ${all.steps} steps, ${jobs} thread${jobs === 1 ? '' : 's'}`);
  const take = (): Batch | null => {
    const runs = Math.min(BATCH, all.from + all.runs - next);
    if (runs <= 0 || failure !== null) return null;
    next += runs;
    return { ...all, from: next - runs, runs };
  };
  const add = (report: Report) => {
    done += report.runs;
    for (const [key, n] of report.states) states.set(key, (states.get(key) ?? 0) + n);
    for (const [key, n] of report.transitions) transitions.set(key, (transitions.get(key) ?? 0) + n);
    if (report.slowest.ms > slowest.ms) slowest = report.slowest;
    failure ??= report.failure;
    const rate = (done / (performance.now() - started)) * 1000;
    out(
      `${done} runs, ${rate.toFixed(0)}/s, ${states.size} states, ${transitions.size} transitions, ` +
        `slowest recovery ${slowest.ms.toFixed(0)} ms (seed ${slowest.seed})`,
    );
  };
  if (jobs === 1) {
    for (let batch = take(); batch !== null; batch = take()) add(runBatch(batch));
  } else {
    await Promise.all(Array.from({ length: jobs }, () => work(take, add)));
  }
  out(failure ?? `${done} runs, no property broken`);
  return failure === null ? 0 : 1;
}

/** One thread, fed until there is nothing left. */
function work(take: () => Batch | null, add: (report: Report) => void): Promise<void> {
  const worker = new Worker(new URL(import.meta.url), { workerData: 'batches' });
  return new Promise((resolve, reject) => {
    const feed = () => {
      const batch = take();
      if (batch === null) void worker.terminate().then(() => resolve());
      else worker.postMessage(batch);
    };
    worker.on('message', (report: Report) => {
      add(report);
      feed();
    });
    worker.on('error', reject);
    feed();
  });
}

function runBatch({ from, runs, steps, real }: Batch): Report {
  const result = campaign({ from, runs, steps, ...(real ? { crypto: nativeCrypto } : {}) });
  return {
    runs: result.runs,
    states: [...result.states.states],
    transitions: [...result.states.transitions],
    slowest: result.slowest,
    failure: result.failure === null ? null : printFailure(result.failure),
  };
}

if (!isMainThread && workerData === 'batches') {
  const port = parentPort!;
  port.on('message', (batch: Batch) => port.postMessage(runBatch(batch)));
}
