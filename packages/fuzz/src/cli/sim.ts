import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import { nativeCrypto } from '@wirestream/core/noise/native';
import { StateLog } from '@wirestream/core/sim/states';
import { STEPS, nameOf, scriptOf } from '../sim/campaign.js';
import { narrate } from '../sim/narrate.js';
import { ENOUGH_RUNS, neverVisited } from '../sim/named.js';
import { PROPERTIES } from '../sim/properties.js';
import { runScript, type Outcome } from '../sim/run.js';
import { printScript, type Script } from '../sim/steps.js';
import { toyCrypto } from '../sim/toycrypto.js';
import { runBatches, type Batch } from './pool.js';

/**
 * `npm run sim`: simulated runs by the thousand, or one of them again.
 *
 * Many runs are dealt out to threads in batches; what comes back of a batch is which states it came to, its slowest recovery, and the failure if there was
 * one. The first failure ends the campaign, shrunk and printed with its seed.
 */
export const USAGE = `Simulated runs of the connection engine: devices on a virtual clock and a network that goes wrong in every way,
held to the properties at the end of this page. One seed is one run, the same on every machine.

  npm run sim -- [--runs N] [--from SEED]     many random runs, until one fails       (2000, from a random seed)
  npm run sim -- --forever [--from SEED]      without an end; Ctrl-C says what was done
  npm run sim -- --seed SEED                  one of them again
  npm run sim -- --script FILE                a script that a failure printed, from a file (- for standard input)

  --steps M    at most so many things happen in a run; part of what a seed means      (${STEPS})
  --jobs N     threads                                                                (one per core)
  --real       the real primitives rather than toy ones: the same runs, ten times as slow
  --story      with --seed or --script: tells what happens, event by event
  --print      with --seed: prints the script and does not run it
  --states     with many runs: lists the states and moves that they came to, and how often

A failure is printed as the property that broke, the seed, and the shortest script found that breaks the same property. Kept under
packages/fuzz/test/sim/regressions it becomes a test. Exit code: 0 all held, 1 a property broke, 2 wrong usage, 130 stopped.

properties:
${Object.entries(PROPERTIES)
  .map(([name, what]) => `  ${name.padEnd(21)}${what}`)
  .join('\n')}`;

/** Runs of one batch: about a second. */
const BATCH = 50;

export interface SimOptions {
  readonly out: (line: string) => void;
  /** takes how far it has come, after each batch */
  readonly progress?: (line: string) => void;
  /** stops a campaign */
  readonly signal?: AbortSignal;
}

/**
 * @returns the exit code: 0 when every property held
 * @throws when the arguments make no sense
 */
export async function sim(args: readonly string[], options: SimOptions): Promise<number> {
  const { out } = options;
  const text = { type: 'string' } as const;
  const flag = { type: 'boolean', default: false } as const;
  const { values } = parseArgs({
    args: [...args],
    options: {
      ...{ runs: text, from: text, seed: text, steps: text, jobs: text, script: text },
      ...{ forever: flag, real: flag, story: flag, print: flag, states: flag },
      help: { ...flag, short: 'h' },
    },
  });
  if (values.help) {
    out(USAGE);
    return 0;
  }
  const steps = integer('steps', values.steps, STEPS);
  if (values.script !== undefined || values.seed !== undefined) {
    const script =
      values.script === undefined ? scriptOf(integer('seed', values.seed, 0), steps) : readScript(values.script);
    if (!values.print) return again(script, values.real, values.story, out);
    out(printScript(script));
    return 0;
  }
  const runs = values.forever ? Infinity : integer('runs', values.runs, ENOUGH_RUNS);
  const from = integer('from', values.from, Math.floor(Math.random() * 0x40000000));
  const jobs = integer('jobs', values.jobs, availableParallelism());
  return many({ from, runs, steps, real: values.real }, Math.max(1, jobs), values.states, options);
}

function integer(name: string, text: string | undefined, otherwise: number): number {
  if (text === undefined) return otherwise;
  const value = Number(text);
  if (text === '' || !Number.isSafeInteger(value) || value < 0)
    throw new Error(`--${name} wants a whole number, not ${text} (npm run sim -- --help)`);
  return value;
}

function readScript(file: string): Script {
  const script = JSON.parse(readFileSync(file === '-' ? 0 : file, 'utf8')) as Partial<Script> | null;
  if (script?.setup === undefined || !Array.isArray(script.steps))
    throw new Error(`${file} is no script: it needs "setup" and "steps", as --print prints them`);
  return script as Script;
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

async function many(all: Batch, jobs: number, listStates: boolean, options: SimOptions): Promise<number> {
  const { out, progress = () => undefined, signal = new AbortController().signal } = options;
  const log = new StateLog();
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
  const summary = () => {
    const seconds = (performance.now() - started) / 1000;
    return (
      `${done} runs in ${seconds.toFixed(0)} s (${(done / seconds).toFixed(0)}/s), ${log.states.size} states, ` +
      `${log.transitions.size} transitions, slowest recovery ${slowest.ms.toFixed(0)} ms (seed ${slowest.seed})`
    );
  };
  await runBatches(
    jobs,
    take,
    (report) => {
      done += report.runs;
      log.add({ states: new Map(report.states), transitions: new Map(report.transitions) });
      if (report.slowest.ms > slowest.ms) slowest = report.slowest;
      failure ??= report.failure;
      progress(summary());
    },
    signal,
  );
  out(summary());
  if (listStates) for (const line of listed(log)) out(line);
  if (failure !== null) {
    out(`FAILED ${String(failure)}`);
    return 1;
  }
  const missing = done >= ENOUGH_RUNS ? neverVisited(log) : [];
  if (missing.length > 0) {
    out(`FAILED never visited: ${missing.join('; ')}`);
    return 1;
  }
  if (signal.aborted) {
    out(`stopped; no property broken so far. To go on: npm run sim -- --from ${all.from + done} …`);
    return 130;
  }
  out(`${done} runs, no property broken`);
  return 0;
}

function* listed({ states, transitions }: StateLog): Generator<string> {
  for (const [what, counts] of [
    ['states (outbound, inbound, pending)', states] as const,
    ['moves', transitions] as const,
  ]) {
    yield `${what}:`;
    for (const [key, n] of [...counts].sort((a, b) => b[1] - a[1])) yield `${String(n).padStart(9)}  ${key}`;
  }
}
