import type { SlabSource } from '../slab/pool.js';
import type { Slab } from '../slab/slab.js';
import type { BufferSource } from './tcp/inbound.js';

/** Memory for what waits for native sides, bounded over all flows together. */
export class Buffers implements BufferSource {
  readonly slabSize: number;
  readonly #limit: number;
  #out = 0;

  /** @param budget bytes */
  constructor(
    private readonly source: SlabSource,
    budget: number,
  ) {
    this.slabSize = source.slabSize;
    this.#limit = Math.floor(budget / source.slabSize);
  }

  /** More than half is in use: flows should want less. */
  get isShort(): boolean {
    return this.#out > this.#limit / 2;
  }

  /** slabs in use */
  get out(): number {
    return this.#out;
  }

  take(): Slab | null {
    if (this.#out >= this.#limit) return null;
    this.#out++;
    return this.source.take();
  }

  give(slab: Slab): void {
    this.#out--;
    this.source.give(slab);
  }
}
