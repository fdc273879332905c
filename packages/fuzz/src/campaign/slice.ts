import { generate } from '../choices.js';
import type { Target } from '../target.js';
import { CoverageMap, type Profile } from './coverage.js';
import type { Entry } from './corpus.js';
import { faultOf, minimiseBytes, minimiseValue } from './minimise.js';
import { mutate, Rng } from './mutate.js';
import type fc from 'fast-check';

/** A failing input, made small. */
export interface Failure {
  readonly target: string;
  readonly fault: string;
  readonly message: string;
  readonly input: unknown;
}

export interface SliceResult {
  readonly executions: number;
  readonly failures: readonly Failure[];
  /** entries that reached something new */
  readonly news: readonly Entry[];
}

export interface SliceOptions {
  readonly seed: number;
  readonly ms: number;
  readonly entries: readonly Entry[];
  /** told of each input before it is run, for when it never comes back */
  readonly about: (entry: Entry) => void;
}

/** Bytes of a raw input at most, and of a buffer of decisions. */
const BYTES_MAX = 4096;
/** What a batch should take, ms: asking V8 for coverage costs some of them. */
const BATCH_MS = 40;
const BATCH_MAX = 400;
/** Time for making one failing input smaller, ms. */
const MINIMISE_MS = 15_000;
/** Different faults of one target that are looked into in one slice. */
const FAULTS_MAX = 3;

interface Candidate {
  readonly entry: Entry;
  readonly value: fc.Value<unknown>;
}

/** Works on one target for a while: random inputs, and changed copies of those that reached something. */
export class Slice {
  readonly #rng: Rng;
  readonly #pool: Entry[];
  readonly #news: Entry[] = [];
  readonly #failures: Failure[] = [];
  readonly #faults = new Set<string>();
  #executions = 0;

  constructor(
    private readonly subject: Target,
    private readonly profile: Profile,
    private readonly map: CoverageMap,
    private readonly states: Set<string>,
    private readonly options: SliceOptions,
  ) {
    this.#rng = new Rng(options.seed);
    this.#pool = [...options.entries];
  }

  run(): SliceResult {
    const end = performance.now() + this.options.ms;
    // What is known already is run first, so that only what goes beyond it is new.
    for (const entry of this.options.entries) if (performance.now() < end) this.#batch([this.#candidate(entry)]);
    let size = 4;
    while (performance.now() < end && this.#faults.size < FAULTS_MAX) {
      const started = performance.now();
      this.#batch(Array.from({ length: size }, () => this.#next()));
      const took = performance.now() - started;
      size = Math.max(1, Math.min(BATCH_MAX, Math.round((size * BATCH_MS) / Math.max(took, 0.5))));
    }
    return { executions: this.#executions, failures: this.#failures, news: this.#news };
  }

  #next(): Candidate {
    const rng = this.#rng;
    if (this.#pool.length === 0 || rng.below(5) < 2) {
      const { value, choices } = generate(this.subject.arbitrary, new Uint8Array(0), rng.uint32());
      return { entry: { kind: 'choices', bytes: choices }, value };
    }
    // The latest finds are the most promising.
    const recent = rng.below(2) === 0 ? Math.max(0, this.#pool.length - 8) : 0;
    const { kind, bytes } = this.#pool[recent + rng.below(this.#pool.length - recent)]!;
    const others = this.#pool.filter((entry) => entry.kind === kind);
    const changed = mutate(
      rng,
      bytes,
      rng.pick(others).bytes,
      kind === 'bytes' ? 1 : 4,
      Math.max(BYTES_MAX, bytes.length),
    );
    return this.#candidate({ kind, bytes: changed });
  }

  #candidate(entry: Entry): Candidate {
    if (entry.kind === 'bytes' && this.subject.fromBytes !== undefined)
      return {
        entry,
        value: { value: this.subject.fromBytes(entry.bytes), context: undefined } as unknown as fc.Value<unknown>,
      };
    return { entry, value: generate(this.subject.arbitrary, entry.bytes).value };
  }

  #batch(candidates: readonly Candidate[]): void {
    for (const candidate of candidates) this.#execute(candidate);
    if (!this.map.isNews(this.profile.take())) return;
    // Something in the batch is new: once more, one by one.
    for (const candidate of candidates) {
      this.#execute(candidate);
      if (this.map.add(this.profile.take())) this.#keep(candidate.entry);
    }
  }

  #execute(candidate: Candidate): void {
    this.#executions++;
    this.options.about(candidate.entry);
    try {
      for (const state of this.subject.check(candidate.value.value) ?? []) {
        if (this.states.has(state)) continue;
        this.states.add(state);
        this.#keep(candidate.entry);
      }
    } catch (error) {
      this.#fail(candidate, error);
    }
  }

  #keep(entry: Entry): void {
    if (this.#pool.includes(entry)) return;
    this.#pool.push(entry);
    this.#news.push(entry);
  }

  #fail({ entry, value }: Candidate, error: unknown): void {
    const fault = faultOf(error);
    if (this.#faults.has(fault) || this.#faults.size >= FAULTS_MAX) return;
    this.#faults.add(fault);
    const deadline = performance.now() + MINIMISE_MS;
    const { subject } = this;
    const input =
      entry.kind === 'bytes' && subject.fromBytes !== undefined
        ? subject.fromBytes(minimiseBytes(subject, entry.bytes, fault, deadline))
        : minimiseValue(subject, value, fault, deadline);
    const message = error instanceof Error ? (error.stack ?? error.message) : String(error);
    this.#failures.push({ target: subject.name, fault, message, input });
  }
}

/** Of these entries, smallest first, those that each reach something that the ones before do not. */
export function distil(subject: Target, profile: Profile, entries: readonly Entry[]): Entry[] {
  const map = new CoverageMap();
  const states = new Set<string>();
  profile.take();
  return [...entries]
    .sort((a, b) => a.bytes.length - b.bytes.length)
    .filter(({ kind, bytes }) => {
      const isRaw = kind === 'bytes' && subject.fromBytes !== undefined;
      const input = isRaw ? subject.fromBytes!(bytes) : generate(subject.arbitrary, bytes).value.value;
      let isNew = false;
      try {
        for (const state of subject.check(input) ?? []) {
          isNew ||= !states.has(state);
          states.add(state);
        }
      } catch {
        return false;
      }
      return map.add(profile.take()) || isNew;
    });
}
