import type { Keypair } from '../noise/keypair.js';
import type { Peer } from './peer.js';

/** What a receiver index in a message stands for: a handshake under way, or a keypair. */
export interface IndexEntry {
  readonly peer: Peer;
  /** null while the handshake is under way */
  keypair: Keypair | null;
}

/** The indices that we gave out (kernel peerlookup.c index_hashtable): random, so that they tell nothing. */
export class IndexTable {
  readonly #entries = new Map<number, IndexEntry>();
  readonly #draw = new Uint8Array(4);

  constructor(private readonly random: (out: Uint8Array) => void) {}

  get size(): number {
    return this.#entries.size;
  }

  /** A new index for a handshake of the peer's. */
  add(peer: Peer): number {
    for (;;) {
      this.random(this.#draw);
      const [a, b, c, d] = this.#draw as unknown as [number, number, number, number];
      const index = (a | (b << 8) | (c << 16) | (d << 24)) >>> 0;
      if (this.#entries.has(index)) continue;
      this.#entries.set(index, { peer, keypair: null });
      return index;
    }
  }

  get(index: number): IndexEntry | undefined {
    return this.#entries.get(index);
  }

  remove(index: number | null): void {
    if (index !== null) this.#entries.delete(index);
  }
}
