import { mkdirSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import path from 'node:path';
import { Worker } from 'node:worker_threads';
import { encodeValue } from '../values.js';
import { Corpus, type Entry } from './corpus.js';
import { CoverageMap, type MapData } from './coverage.js';
import type { Options } from './options.js';
import { listUncovered, printCoverage } from './report.js';
import type { Failure } from './slice.js';
import { CURRENT_HEADER, type Job, type Result, type WorkerSetup } from './worker.js';

/** A worker that says nothing for so long beyond its slice hangs, ms. */
const PATIENCE = 60_000;
/** Longest and shortest turn of one target, ms. */
const SLICE_MAX = 20_000;
const SLICE_MIN = 400;
/** Room for the input that is being run. */
const CURRENT_SIZE = 1 << 20;
/** Heap of one worker, MiB: an input that needs more has found something. */
const HEAP_MAX = 1024;

export interface Surroundings {
  /** where fixtures are */
  readonly fixtures: string;
  /** where failures are written as regression tests */
  readonly regressions: string;
  readonly out: (line: string) => void;
  /** coverage of the drivers, which need processes of their own */
  readonly drivers: (() => Promise<DriverRun>) | null;
}

/** What hostile load on real sockets ran of core, and whether everything stayed within its bounds. */
export interface DriverRun {
  readonly data: MapData[];
  readonly held: boolean;
}

/** A campaign on all cores. @returns how many failures there were */
export async function runCampaign(options: Options, targets: readonly string[], around: Surroundings): Promise<number> {
  return new Campaign(options, targets, around).run();
}

class Campaign {
  readonly #corpus: Corpus;
  readonly #entries = new Map<string, Entry[]>();
  readonly #coverage = new CoverageMap();
  readonly #failures: Failure[] = [];
  readonly #painted = new Map<number, number>();
  readonly #started = performance.now();
  readonly #end: number;
  readonly #ms: number;
  #executions = 0;
  #slices = 0;
  #turn = 0;
  #found = 0;
  #states = 0;
  #saidAt = -Infinity;

  constructor(
    private readonly options: Options,
    private readonly targets: readonly string[],
    private readonly around: Surroundings,
  ) {
    this.#corpus = new Corpus(path.join(around.fixtures, 'corpus'));
    for (const target of targets) this.#entries.set(target, this.#corpus.load(target));
    const total = options.minutes * 60_000;
    this.#end = this.#started + total;
    this.#ms = Math.max(SLICE_MIN, Math.min(SLICE_MAX, (total * this.#jobs) / targets.length));
  }

  get #jobs(): number {
    return this.options.jobs ?? availableParallelism();
  }

  async run(): Promise<number> {
    const { out } = this.around;
    const known = [...this.#entries.values()].reduce((sum, list) => sum + list.length, 0);
    out(
      `${this.targets.length} targets, ${this.#jobs} workers, seed ${this.options.seed}, ${known} inputs in the corpus`,
    );
    await Promise.all(Array.from({ length: this.#jobs }, (_, n) => this.#work(n)));
    this.#say(true);
    let beyond = 0;
    if (this.around.drivers !== null) {
      out('hostile load and tunnels in use, on real sockets');
      const { data, held } = await this.around.drivers();
      this.#coverage.merge(data);
      if (!held) beyond = 1;
    }
    const data = this.#coverage.toData();
    for (const line of printCoverage(data)) out(line);
    if (this.options.uncovered !== undefined) writeFileSync(this.options.uncovered, listUncovered(data));
    for (const failure of this.#failures) out(this.#write(failure));
    const failures = this.#failures.length + beyond;
    out(`${this.#executions} executions, ${failures} failures`);
    return failures;
  }

  /** One worker, fed until the time is up; another one in its place when it hangs or dies. */
  async #work(n: number): Promise<void> {
    let thread = await this.#thread();
    // Every target has its turn, however little time there is.
    while (performance.now() < this.#end || this.#turn < this.targets.length) {
      const target = this.targets[this.#turn++ % this.targets.length]!;
      const ms = Math.max(SLICE_MIN, Math.min(this.#ms, this.#end - performance.now()));
      const entries = this.#entries.get(target)!;
      const seed = this.options.seed + 7919 * this.#slices++;
      const result = await thread.ask({ do: 'slice', target, seed, ms, entries }, ms + PATIENCE);
      if (result === null) {
        this.#failures.push(thread.lastWords(target));
        await thread.stop();
        thread = await this.#thread();
        continue;
      }
      if (result.did !== 'slice') continue;
      this.#executions += result.executions;
      this.#states = Math.max(this.#states, result.states);
      this.#found += result.news.length;
      this.#painted.set(n, result.painted);
      entries.push(...result.news.filter(({ bytes }) => bytes.length <= 16_384).slice(0, 200));
      for (const failure of result.failures) this.#add(failure);
      this.#say(false);
    }
    const result = await thread.ask({ do: 'coverage' }, PATIENCE);
    if (result?.did === 'coverage') this.#coverage.merge(result.data);
    for (let i = n; i < this.targets.length; i += this.#jobs) await this.#distil(thread, this.targets[i]!);
    await thread.stop();
  }

  async #distil(thread: Thread, target: string): Promise<void> {
    const entries = this.#entries.get(target)!.slice(-400);
    const result = await thread.ask({ do: 'distil', target, entries }, PATIENCE);
    if (result?.did === 'distil') this.#corpus.save(target, result.kept);
  }

  async #thread(): Promise<Thread> {
    const thread = new Thread(this.around.fixtures);
    await thread.ready;
    return thread;
  }

  #add(failure: Failure): void {
    if (this.#failures.some(({ target, fault }) => target === failure.target && fault === failure.fault)) return;
    this.#failures.push(failure);
    this.around.out(`FAILED ${failure.target}: ${failure.fault}`);
  }

  #say(now: boolean): void {
    const at = performance.now();
    if (!now && at - this.#saidAt < 10_000) return;
    this.#saidAt = at;
    const seconds = (at - this.#started) / 1000;
    const painted = Math.max(0, ...this.#painted.values());
    this.around.out(
      `${seconds.toFixed(0)} s: ${this.#executions} executions, ${(this.#executions / seconds).toFixed(0)}/s, ` +
        `${painted} characters of core run, ${this.#states} states, ${this.#found} inputs found, ${this.#failures.length} failures`,
    );
  }

  /** As a regression test: a file that a test runs by itself. */
  #write(failure: Failure): string {
    const name = `${failure.target}--${failure.fault
      .toLowerCase()
      .replace(/[^a-z]+/g, '-')
      .replace(/^-|-$/g, '')
      .slice(0, 60)}.json`;
    mkdirSync(this.around.regressions, { recursive: true });
    const file = path.join(this.around.regressions, name);
    const why = failure.message.split('\n')[0]!.slice(0, 200);
    writeFileSync(file, `${encodeValue({ target: failure.target, why, input: failure.input })}\n`);
    return `FAILED ${failure.target}\n${failure.message}\n  written to ${file}\n  npm run fuzz -- --replay ${file}`;
  }
}

class Thread {
  readonly #current = new SharedArrayBuffer(CURRENT_HEADER + CURRENT_SIZE);
  readonly #worker: Worker;
  readonly ready: Promise<unknown>;
  #answer: (result: Result | null) => void = () => undefined;
  #death: string | null = null;

  constructor(fixtures: string) {
    const workerData: WorkerSetup = { fixtures, current: this.#current };
    this.#worker = new Worker(new URL('./worker.js', import.meta.url), {
      workerData,
      resourceLimits: { maxOldGenerationSizeMb: HEAP_MAX },
    });
    this.ready = new Promise((resolve, reject) => {
      this.#worker.once('message', resolve);
      this.#worker.once('error', reject);
    });
    this.#worker.on('message', (result: Result | 'ready') => {
      if (result !== 'ready') this.#answer(result);
    });
    this.#worker.on('error', (error) => {
      this.#death = String(error);
      this.#answer(null);
    });
  }

  /** @returns null when the worker died or is silent for too long */
  ask(job: Job, patience: number): Promise<Result | null> {
    return new Promise((resolve) => {
      const timer = setTimeout(() => resolve(null), patience);
      this.#answer = (result) => {
        clearTimeout(timer);
        resolve(result);
      };
      this.#worker.postMessage(job);
    });
  }

  /** The input that was being run when it went silent. */
  lastWords(target: string): Failure {
    const [kind, length] = new Uint32Array(this.#current, 0, 2);
    const bytes = new Uint8Array(this.#current, CURRENT_HEADER, length).slice();
    const fault = this.#death ?? 'hangs';
    return { target, fault, message: `${target}: ${fault}`, input: { [kind === 1 ? 'bytes' : 'choices']: bytes } };
  }

  async stop(): Promise<void> {
    await this.#worker.terminate();
  }
}
