import { Slab } from './slab.js';

/** Where the core takes slabs from and gives them back to; the driver decides what memory they are. */
export interface SlabSource {
  /** size of each slab it hands out, bytes */
  readonly slabSize: number;
  take(): Slab;
  give(slab: Slab): void;
}

/** Keeps a bounded number of idle slabs for the next taker; the rest are left to `make`'s own clean-up or the collector. */
export class SlabPool implements SlabSource {
  readonly #idle: Slab[] = [];
  #out = 0;

  /**
   * @param slabSize bytes
   * @param make makes one slab of at least that size
   * @param keep how many idle slabs to keep
   * @param dispose what to do with one that is not kept (unmap native memory)
   */
  constructor(
    readonly slabSize: number,
    private readonly make: (size: number) => Slab = Slab.plain,
    private readonly keep = 16,
    private readonly dispose: (slab: Slab) => void = () => undefined,
  ) {}

  /** How many slabs are with takers now: 0 when nothing is queued anywhere. */
  get out(): number {
    return this.#out;
  }

  take(): Slab {
    this.#out++;
    return this.#idle.pop() ?? this.make(this.slabSize);
  }

  give(slab: Slab): void {
    this.#out--;
    if (this.#idle.length < this.keep) this.#idle.push(slab);
    else this.dispose(slab);
  }

  /** Lets go of all idle slabs (tear-down). */
  clear(): void {
    for (const slab of this.#idle.splice(0)) this.dispose(slab);
  }
}
