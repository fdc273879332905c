import type { IpView } from './ipview.js';

/** How many datagrams may be incomplete at once; the oldest gives way. With DATAGRAM_MAX this bounds the memory to 8 MiB. */
const ASSEMBLIES_MAX = 128;
/** What an IPv4 datagram holds at most (RFC 791); IPv6 allows the same without jumbograms. */
const DATAGRAM_MAX = 65535;
/** An incomplete datagram is given up after this, s: the upper end of what receivers use (RFC 1122 §3.3.2, RFC 8200 §4.5). */
const LIFETIME = 60;
/** Separate pieces that one datagram may lie in at a time: as many as there can be of 8 bytes each with a hole behind each is hostile. */
const PIECES_MAX = 64;

interface Assembly {
  bytes: Uint8Array;
  /** sorted, disjoint, not touching: from, to, from, to, … */
  covered: number[];
  /** known once the last fragment is there */
  total: number;
  readonly began: number;
}

/**
 * Puts IPv4 and IPv6 fragments together. Where fragments overlap, what came first stays. Memory is bounded; what is not completed in
 * time, or has to give way, is counted as lost.
 */
export class FragmentStore {
  /** datagrams given up because fragments were missing from the capture */
  lost = 0;
  readonly #assemblies = new Map<string, Assembly>();

  /** datagrams that are incomplete now */
  get waiting(): number {
    return this.#assemblies.size;
  }

  /**
   * Adds the fragment that `view` shows.
   * @param now s, of the capture
   * @returns the datagram's payload when this completes it, else null
   */
  add(view: IpView, bytes: Uint8Array, now: number): Uint8Array | null {
    const from = view.fragmentOffset;
    const to = from + view.payloadLength;
    // Every fragment but the last is a multiple of 8 bytes long; one that was cut by the capture never completes anything.
    if (view.captured < view.payloadLength || view.payloadLength === 0 || to > DATAGRAM_MAX) return null;
    if (view.moreFragments && view.payloadLength % 8 !== 0) return null;
    const key = keyOf(view, bytes);
    let assembly = this.#assemblies.get(key);
    if (assembly !== undefined && now - assembly.began > LIFETIME) {
      this.#giveUp(key);
      assembly = undefined;
    }
    if (assembly === undefined) {
      this.#makeRoom(now);
      assembly = { bytes: new Uint8Array(2048), covered: [], total: -1, began: now };
      this.#assemblies.set(key, assembly);
    }
    if (!view.moreFragments && assembly.total < 0) assembly.total = to;
    if (assembly.bytes.length < to) {
      const grown = new Uint8Array(Math.min(DATAGRAM_MAX, Math.max(to, 2 * assembly.bytes.length)));
      grown.set(assembly.bytes);
      assembly.bytes = grown;
    }
    insert(assembly, from, bytes.subarray(view.payloadOffset, view.payloadOffset + view.payloadLength));
    const { covered, total } = assembly;
    if (total >= 0 && covered[0] === 0 && covered[1]! >= total) {
      this.#assemblies.delete(key);
      return assembly.bytes.subarray(0, total);
    }
    if (covered.length > 2 * PIECES_MAX) this.#giveUp(key);
    return null;
  }

  /** Gives up everything that is incomplete (end of the capture). */
  end(): void {
    this.lost += this.#assemblies.size;
    this.#assemblies.clear();
  }

  #giveUp(key: string): void {
    this.#assemblies.delete(key);
    this.lost++;
  }

  /** Map keys come in the order in which they were set: oldest first. */
  #makeRoom(now: number): void {
    for (const [key, assembly] of this.#assemblies) {
      if (this.#assemblies.size < ASSEMBLIES_MAX && now - assembly.began <= LIFETIME) return;
      this.#giveUp(key);
    }
  }
}

/** Writes those of the bytes at `from` that are not covered yet, and covers them. */
function insert(assembly: Assembly, from: number, data: Uint8Array): void {
  const to = from + data.length;
  const before = assembly.covered;
  const after: number[] = [];
  let start = from;
  let end = to;
  let at = from;
  let placed = false;
  for (let i = 0; i < before.length; i += 2) {
    const a = before[i]!;
    const b = before[i + 1]!;
    if (b < from) {
      after.push(a, b);
      continue;
    }
    if (a > to) {
      if (!placed) after.push(start, end);
      placed = true;
      after.push(a, b);
      continue;
    }
    if (at < a) assembly.bytes.set(data.subarray(at - from, a - from), at);
    at = Math.max(at, b);
    start = Math.min(start, a);
    end = Math.max(end, b);
  }
  if (at < to) assembly.bytes.set(data.subarray(at - from), at);
  if (!placed) after.push(start, end);
  assembly.covered = after;
}

/** Source, destination, identification and (for IPv4) protocol are what fragments of one datagram share (RFC 791, RFC 8200). */
function keyOf(view: IpView, bytes: Uint8Array): string {
  let key = `${view.version}/${view.version === 4 ? view.protocol : ''}/${view.identification}/`;
  for (let i = 0; i < 2 * view.addressLength; i++) key += String.fromCharCode(bytes[view.sourceAddress + i]!);
  return key;
}
