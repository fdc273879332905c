/** What tells one flow of a protocol from another. `local` is this end's address inside the tunnel, or the one behind it that a peer wants. */
export interface FlowEntry {
  /** 4 or 16 bytes each */
  readonly local: Uint8Array;
  readonly remote: Uint8Array;
  readonly localPort: number;
  readonly remotePort: number;
  /** belong to the table */
  hash: number;
  next: FlowEntry | null;
}

const BUCKETS_MIN = 64;

/**
 * Flows by their addresses and ports, looked up from a packet's bytes without making a key. The hash is seeded, because
 * whoever sends packets chooses the keys.
 */
export class FlowTable<F extends FlowEntry> {
  size = 0;
  #buckets: (FlowEntry | null)[] = new Array<FlowEntry | null>(BUCKETS_MIN).fill(null);
  #last: F | null = null;

  /** @param seed 32 random bits */
  constructor(private readonly seed: number) {}

  /** The flow of a packet whose addresses are at these offsets, or null. */
  find(
    view: DataView,
    local: number,
    remote: number,
    addressLength: number,
    localPort: number,
    remotePort: number,
  ): F | null {
    const last = this.#last;
    if (last !== null && matches(last, view, local, remote, addressLength, localPort, remotePort)) return last;
    let hash = mix(this.seed, (localPort << 16) | remotePort);
    for (let i = 0; i < addressLength; i += 4) {
      hash = mix(mix(hash, view.getInt32(local + i)), view.getInt32(remote + i));
    }
    let entry = this.#buckets[hash & (this.#buckets.length - 1)]!;
    for (; entry !== null; entry = entry.next!) {
      if (entry.hash !== hash) continue;
      if (matches(entry, view, local, remote, addressLength, localPort, remotePort)) return (this.#last = entry as F);
    }
    return null;
  }

  get(local: Uint8Array, remote: Uint8Array, localPort: number, remotePort: number): F | null {
    const hash = this.#hash(local, remote, localPort, remotePort);
    let entry = this.#buckets[hash & (this.#buckets.length - 1)]!;
    for (; entry !== null; entry = entry.next!) {
      if (
        entry.localPort === localPort &&
        entry.remotePort === remotePort &&
        sameBytes(entry.local, local) &&
        sameBytes(entry.remote, remote)
      ) {
        return entry as F;
      }
    }
    return null;
  }

  /** Adds a flow that is not in it. */
  add(flow: F): void {
    if (this.size >= this.#buckets.length) this.#grow();
    flow.hash = this.#hash(flow.local, flow.remote, flow.localPort, flow.remotePort);
    this.#link(flow);
    this.size++;
  }

  /** @returns false when it was not in it */
  remove(flow: F): boolean {
    if (this.#last === flow) this.#last = null;
    const at = flow.hash & (this.#buckets.length - 1);
    let before: FlowEntry | null = null;
    for (let entry = this.#buckets[at]!; entry !== null; entry = entry.next!) {
      if (entry === flow) {
        if (before === null) this.#buckets[at] = entry.next;
        else before.next = entry.next;
        entry.next = null;
        this.size--;
        return true;
      }
      before = entry;
    }
    return false;
  }

  *values(): IterableIterator<F> {
    for (const first of this.#buckets) {
      for (let entry = first; entry !== null; entry = entry.next) yield entry as F;
    }
  }

  #hash(local: Uint8Array, remote: Uint8Array, localPort: number, remotePort: number): number {
    let hash = mix(this.seed, (localPort << 16) | remotePort);
    for (let i = 0; i < local.length; i += 4) hash = mix(mix(hash, word(local, i)), word(remote, i));
    return hash;
  }

  #link(entry: FlowEntry): void {
    const at = entry.hash & (this.#buckets.length - 1);
    entry.next = this.#buckets[at]!;
    this.#buckets[at] = entry;
  }

  #grow(): void {
    const flows = [...this.values()];
    this.#buckets = new Array<FlowEntry | null>(this.#buckets.length * 2).fill(null);
    for (const flow of flows) this.#link(flow);
  }
}

/** One round of a 32-bit mixing function in the manner of MurmurHash3. */
function mix(hash: number, value: number): number {
  let h = Math.imul(hash ^ value, 0x85ebca6b);
  h ^= h >>> 13;
  h = Math.imul(h, 0xc2b2ae35);
  return h ^ (h >>> 16);
}

function word(bytes: Uint8Array, at: number): number {
  return (bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!;
}

function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

function matches(
  entry: FlowEntry,
  view: DataView,
  local: number,
  remote: number,
  addressLength: number,
  localPort: number,
  remotePort: number,
): boolean {
  if (entry.localPort !== localPort || entry.remotePort !== remotePort || entry.local.length !== addressLength) {
    return false;
  }
  for (let i = 0; i < addressLength; i++) {
    if (entry.local[i] !== view.getUint8(local + i) || entry.remote[i] !== view.getUint8(remote + i)) return false;
  }
  return true;
}
