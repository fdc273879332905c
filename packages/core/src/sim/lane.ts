import type { Clock } from './clock.js';
import type { Rng } from './rng.js';

// Globals are slow in the contexts that tests run in (clock.ts).
const { max } = Math;

/**
 * up: carries. vanish: packets are lost without a word, and TCP sends them again later and later. stall: packets wait, and all arrive
 * when it ends.
 */
export type LaneState = 'up' | 'vanish' | 'stall';

/** Damage to a byte stream, of which TCP's checksum would have noticed most: each is done once, to the next bytes that pass. */
export type Damage =
  | { readonly kind: 'flip'; readonly count: number }
  | { readonly kind: 'insert'; readonly count: number }
  | { readonly kind: 'delete'; readonly count: number };

/** How one lane carries. */
export interface LaneOptions {
  /** one way, ms */
  readonly latency: number;
  /** up to this much more, ms; connections overtake each other, bytes of one do not */
  readonly jitter: number;
  /** bytes per ms; Infinity for no limit */
  readonly rate: number;
  /** of segments, bytes: uniform between the two */
  readonly segmentMin: number;
  readonly segmentMax: number;
  /** probability that a datagram is lost, or comes twice; each one's jitter is its own, so they are reordered too */
  readonly loss: number;
  readonly duplicate: number;
}

export const LANE_OPTIONS: LaneOptions = {
  latency: 10,
  jitter: 0,
  rate: Infinity,
  segmentMin: 1460,
  segmentMax: 1460,
  loss: 0,
  duplicate: 0,
};

/** One direction between two machines. */
export class Lane {
  state: LaneState = 'up';
  /** damage yet to be done */
  readonly damage: Damage[] = [];
  /** bytes of damage done so far */
  damaged = 0;
  /** datagrams with longer payloads are dropped, as some networks do; below 0 all are, bytes */
  datagramMax = Infinity;
  #freeAt = 0;
  #held: (() => void)[] = [];

  constructor(
    private readonly clock: Clock,
    readonly rng: Rng,
    public options: LaneOptions,
  ) {}

  set(state: LaneState): void {
    this.state = state;
    if (state === 'stall') return;
    const held = this.#held;
    this.#held = [];
    for (const retry of held) retry();
  }

  /**
   * Carries `size` bytes, none before `notBefore`.
   * @returns when they arrive, unless the lane stalls meanwhile
   */
  carry(size: number, notBefore: number, arrive: () => void, lost: () => void): number {
    const { latency, jitter, rate } = this.options;
    const start = max(this.clock.now, this.#freeAt);
    this.#freeAt = start + size / rate;
    const at = max(this.#freeAt + latency + jitter * this.rng.float(), notBefore);
    const land = () => {
      if (this.state === 'up') arrive();
      else if (this.state === 'vanish') lost();
      else this.#held.push(land);
    };
    this.clock.at(at, land);
    return at;
  }

  segmentSize(): number {
    return this.rng.between(this.options.segmentMin, this.options.segmentMax);
  }

  /** The bytes as they arrive: damaged, if damage is due. */
  passed(bytes: Uint8Array): Uint8Array {
    const damage = this.damage.shift();
    if (damage === undefined || bytes.length === 0) return bytes;
    this.damaged += damage.count;
    const at = this.rng.below(bytes.length);
    if (damage.kind === 'flip') {
      const out = bytes.slice();
      for (let i = 0; i < damage.count; i++) out[(at + i) % out.length]! ^= 1 << this.rng.below(8);
      return out;
    }
    if (damage.kind === 'delete') {
      return concat(bytes.subarray(0, at), bytes.subarray(Math.min(at + damage.count, bytes.length)));
    }
    const noise = new Uint8Array(damage.count);
    this.rng.fill(noise);
    return concat(bytes.subarray(0, at), noise, bytes.subarray(at));
  }
}

export function concat(...parts: Uint8Array[]): Uint8Array {
  const out = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}
