import { randomFillSync } from 'node:crypto';

/** Bytes drawn at a time: the system is asked once for hundreds of timers' few bytes. */
const POOL = 4096;

/** Random bytes from the system, drawn in advance. What was handed out is wiped here: it may become a key. */
export class RandomPool {
  readonly #bytes = new Uint8Array(POOL);
  #used = POOL;

  fill(out: Uint8Array): void {
    const { length } = out;
    if (length > POOL) {
      randomFillSync(out);
      return;
    }
    if (this.#used + length > POOL) {
      randomFillSync(this.#bytes);
      this.#used = 0;
    }
    for (let i = 0; i < length; i++) {
      out[i] = this.#bytes[this.#used]!;
      this.#bytes[this.#used++] = 0;
    }
  }

  /** Wipes what is left. */
  clear(): void {
    this.#bytes.fill(0);
    this.#used = POOL;
  }
}
