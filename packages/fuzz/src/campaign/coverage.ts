import { Session, type Profiler } from 'node:inspector';

/**
 * Which code has run, by V8's own block coverage.
 *
 * Theory of operation. V8 counts how often each block of each function ran. `take` asks for the counts since the last time; what was seen running at least
 * once is painted, character by character, onto a map of each script. An input is new when it paints something that was blank. Asking
 * costs milliseconds, so it is done once per batch of inputs, and only a batch with something new is gone through one by one.
 */

type Scripts = readonly Profiler.ScriptCoverage[];

/** Asks V8. There can be one per thread. */
export class Profile {
  readonly #session = new Session();

  /** @param wanted part of the addresses of the scripts that count */
  constructor(private readonly wanted: string) {
    this.#session.connect();
    this.#post('Profiler.enable');
    this.#post('Profiler.startPreciseCoverage', { callCount: true, detailed: true });
  }

  /** What ran since the last call. */
  take(): Scripts {
    const { result } = this.#post('Profiler.takePreciseCoverage') as { result: Scripts };
    return result.filter(({ url }) => url.includes(this.wanted));
  }

  #post(method: string, params: object = {}): unknown {
    let answer: unknown;
    // In one thread the answer comes before `post` returns.
    this.#session.post(method, params, (error, result) => {
      if (error !== null) throw error;
      answer = result;
    });
    return answer;
  }
}

/** What is known of one script. */
interface ScriptMap {
  /** 1 for characters that ran */
  ran: Uint8Array;
  /** starts and ends of blocks that V8 told apart */
  readonly blocks: Set<string>;
}

/** As it crosses from thread to thread. */
export interface MapData {
  readonly url: string;
  readonly ran: Uint8Array;
  readonly blocks: readonly string[];
}

export class CoverageMap {
  readonly #scripts = new Map<string, ScriptMap>();
  #painted = 0;

  /** characters that ran: a measure of progress */
  get painted(): number {
    return this.#painted;
  }

  /** Whether something ran that never did before. */
  isNews(scripts: Scripts): boolean {
    return scripts.some((script) => someBlank(this.#scripts.get(script.url)?.ran, rangesOf(script)));
  }

  /** Adds what ran. @returns whether any of it was new */
  add(scripts: Scripts): boolean {
    const before = this.#painted;
    for (const script of scripts) {
      const ranges = rangesOf(script);
      const map = this.#map(script.url, Math.max(...ranges.map(({ endOffset }) => endOffset)));
      for (const { startOffset, endOffset } of ranges) map.blocks.add(`${startOffset}-${endOffset}`);
      for (const [from, to] of runs(ranges)) this.#paint(map.ran, from, to);
    }
    return this.#painted > before;
  }

  merge(data: readonly MapData[]): void {
    for (const { url, ran, blocks } of data) {
      const map = this.#map(url, ran.length);
      for (const block of blocks) map.blocks.add(block);
      for (let i = 0; i < ran.length; i++) if (ran[i] === 1) this.#paint(map.ran, i, i + 1);
    }
  }

  toData(): MapData[] {
    return [...this.#scripts].map(([url, { ran, blocks }]) => ({ url, ran, blocks: [...blocks] }));
  }

  #paint(ran: Uint8Array, from: number, to: number): void {
    for (let i = from; i < to; i++) {
      if (ran[i] === 1) continue;
      ran[i] = 1;
      this.#painted++;
    }
  }

  #map(url: string, length: number): ScriptMap {
    let map = this.#scripts.get(url);
    if (map === undefined) this.#scripts.set(url, (map = { ran: new Uint8Array(length), blocks: new Set() }));
    if (map.ran.length < length) {
      const longer = new Uint8Array(length);
      longer.set(map.ran);
      map.ran = longer;
    }
    return map;
  }
}

/** The ranges of all functions of a script, outer ones before those inside them. */
function rangesOf({ functions }: Profiler.ScriptCoverage): Profiler.CoverageRange[] {
  return functions
    .flatMap(({ ranges }) => ranges)
    .sort((a, b) => a.startOffset - b.startOffset || b.endOffset - a.endOffset);
}

/** The characters of a script that ran: ranges are nested, and the innermost counts. */
function* runs(ranges: readonly Profiler.CoverageRange[]): Generator<[from: number, to: number]> {
  // Outer ranges come before inner ones, in order of their beginnings: a stack of those that are open is enough.
  const open: Profiler.CoverageRange[] = [];
  let at = ranges[0]!.startOffset;
  const close = function* (until: number): Generator<[number, number]> {
    for (;;) {
      const top = open[open.length - 1];
      if (top === undefined) return;
      const to = Math.min(until, top.endOffset);
      if (top.count > 0 && to > at) yield [at, to];
      at = Math.max(at, to);
      if (top.endOffset > until) return;
      open.pop();
    }
  };
  for (const range of ranges) {
    yield* close(range.startOffset);
    open.push(range);
  }
  yield* close(Infinity);
}

function someBlank(ran: Uint8Array | undefined, ranges: readonly Profiler.CoverageRange[]): boolean {
  for (const [from, to] of runs(ranges)) {
    if (ran === undefined || to > ran.length) return true;
    const blank = ran.indexOf(0, from);
    if (blank >= 0 && blank < to) return true;
  }
  return false;
}
