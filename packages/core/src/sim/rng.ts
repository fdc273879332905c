// Globals are slow in the contexts that tests run in (clock.ts).
const { floor } = Math;
const SCALE = 1 / 2 ** 32;

/**
 * The simulation's own random numbers: sfc32 (Chris Doty-Humphrey's PractRand), seeded through splitmix32, so that one number
 * replays one run exactly, on every machine and in every version of Node.
 */
export class Rng {
  #a = 0;
  #b = 0;
  #c = 0;
  #counter = 1;

  /** @param seed any integer; its lower 32 bits count */
  constructor(readonly seed: number) {
    let state = seed >>> 0;
    const mixed = () => {
      state = (state + 0x9e3779b9) >>> 0;
      let z = state;
      z = Math.imul(z ^ (z >>> 16), 0x21f0aaad);
      z = Math.imul(z ^ (z >>> 15), 0x735a2d97);
      return (z ^ (z >>> 15)) >>> 0;
    };
    this.#a = mixed();
    this.#b = mixed();
    this.#c = mixed();
    for (let i = 0; i < 12; i++) this.u32();
  }

  /** uniform in 0 … 2^32 − 1 */
  u32(): number {
    const out = (this.#a + this.#b + this.#counter) | 0;
    this.#counter = (this.#counter + 1) | 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) | 0;
    this.#c = (((this.#c << 21) | (this.#c >>> 11)) + out) | 0;
    return out >>> 0;
  }

  /** uniform in [0, 1) */
  float(): number {
    return this.u32() * SCALE;
  }

  /** uniform in 0 … n − 1 */
  below(n: number): number {
    return floor(this.float() * n);
  }

  /** uniform in low … high, both included */
  between(low: number, high: number): number {
    return low + this.below(high - low + 1);
  }

  chance(probability: number): boolean {
    return this.float() < probability;
  }

  fill(out: Uint8Array): void {
    for (let i = 0; i < out.length; i += 4) {
      const word = this.u32();
      for (let j = 0; j < 4 && i + j < out.length; j++) out[i + j] = word >>> (8 * j);
    }
  }

  /** A generator of its own, so that what one part draws does not move what another part gets. */
  fork(): Rng {
    return new Rng(this.u32());
  }
}
