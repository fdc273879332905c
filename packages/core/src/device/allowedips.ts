import type { Prefix } from '../address/ip.js';
import { maskBits } from '../address/ip.js';

/**
 * Cryptokey routing: which peer an address belongs to, by the longest prefix (WireGuard paper §2, kernel allowedips.c).
 *
 * Theory of operation. There is one binary trie for IPv4 and one for IPv6. Each node stands for a prefix that has an
 * owner, or that two others share up to where they part; chains of one-way nodes are never there, so a trie of n
 * prefixes has fewer than 2n nodes and a look-up visits at most one node per prefix length in use. Prefix and mask are
 * kept as 32-bit words, compared without allocating anything; the IPv4 trie uses the first word only. Beside the tries,
 * every owner has its nodes in the order they were added, which is the order that `wg show` prints.
 */

class Node<T> {
  zero: Node<T> | null = null;
  one: Node<T> | null = null;
  owner: T | null = null;
  readonly m0: number;
  readonly m1: number;
  readonly m2: number;
  readonly m3: number;

  /** @param bytes for IPv6 16, for IPv4 4; the bits behind `length` are zero */
  constructor(
    readonly length: number,
    readonly bytes: Uint8Array,
    readonly w0 = word(bytes, 0),
    readonly w1 = bytes.length === 16 ? word(bytes, 4) : 0,
    readonly w2 = bytes.length === 16 ? word(bytes, 8) : 0,
    readonly w3 = bytes.length === 16 ? word(bytes, 12) : 0,
  ) {
    this.m0 = maskWord(length);
    this.m1 = maskWord(length - 32);
    this.m2 = maskWord(length - 64);
    this.m3 = maskWord(length - 96);
  }
}

/** 32 bits, big-endian, as a signed integer. */
function word(bytes: Uint8Array, offset: number): number {
  return (bytes[offset]! << 24) | (bytes[offset + 1]! << 16) | (bytes[offset + 2]! << 8) | bytes[offset + 3]!;
}

/** A word whose first `bits` bits are set. */
function maskWord(bits: number): number {
  return bits <= 0 ? 0 : bits >= 32 ? -1 : -1 << (32 - bits);
}

function bitAt(bytes: Uint8Array, index: number): number {
  return (bytes[index >> 3]! >> (7 - (index & 7))) & 1;
}

/** How many first bits are equal. */
function commonBits(a: Uint8Array, b: Uint8Array): number {
  for (let i = 0; i < a.length; i++) {
    const difference = a[i]! ^ b[i]!;
    if (difference !== 0) return 8 * i + Math.clz32(difference) - 24;
  }
  return 8 * a.length;
}

/** Where the addresses lie in an IP header (RFC 791 §3.1, RFC 8200 §3), and how long that header is at least. */
const V4_SOURCE = 12;
const V4_DESTINATION = 16;
const V4_HEADER = 20;
const V6_SOURCE = 8;
const V6_DESTINATION = 24;
const V6_HEADER = 40;

export class AllowedIps<T> {
  #root4: Node<T> | null = null;
  #root6: Node<T> | null = null;
  readonly #owned = new Map<T, Set<Node<T>>>();

  /** Prefixes in all. */
  get size(): number {
    let size = 0;
    for (const nodes of this.#owned.values()) size += nodes.size;
    return size;
  }

  /** Trie nodes in all: fewer than twice `size`. */
  get nodes(): number {
    const count = (node: Node<T> | null): number => (node === null ? 0 : 1 + count(node.zero) + count(node.one));
    return count(this.#root4) + count(this.#root6);
  }

  /** Gives a prefix to `owner`, taking it from whoever has it; it becomes the last in the owner's list. */
  insert(prefix: Prefix, owner: T): void {
    const key = maskBits(prefix.bytes, prefix.length);
    const node = this.#place(key, prefix.length);
    this.#disown(node);
    node.owner = owner;
    const nodes = this.#owned.get(owner);
    if (nodes === undefined) this.#owned.set(owner, new Set([node]));
    else nodes.add(node);
  }

  /** Takes exactly this prefix away from `owner`. @returns false, with nothing changed, when it is not the owner's */
  remove(prefix: Prefix, owner: T): boolean {
    const key = maskBits(prefix.bytes, prefix.length);
    const path = this.#pathTo(key, prefix.length);
    const node = path.at(-1);
    if (node === undefined || node.length !== prefix.length || node.owner !== owner) return false;
    this.#disown(node);
    this.#prune(path, key.length);
    return true;
  }

  /** Takes all prefixes away from `owner`. */
  removeAll(owner: T): void {
    for (const prefix of this.list(owner)) this.remove(prefix, owner);
  }

  /** The owner's prefixes, the one added last at the end. */
  list(owner: T): Prefix[] {
    return [...(this.#owned.get(owner) ?? [])].map(({ bytes, length }) => ({ bytes: bytes.slice(), length }));
  }

  clear(): void {
    this.#root4 = null;
    this.#root6 = null;
    this.#owned.clear();
  }

  /** The owner of an IPv4 address given as 32 bits, signed or unsigned; null when nobody has it. */
  lookup4(address: number): T | null {
    let found: T | null = null;
    let node = this.#root4;
    while (node !== null && ((address ^ node.w0) & node.m0) === 0) {
      if (node.owner !== null) found = node.owner;
      node = (address >>> (31 - node.length)) & 1 ? node.one : node.zero;
    }
    return found;
  }

  /** The owner of the 16 bytes of an IPv6 address at `offset`; null when nobody has it. */
  lookup6(bytes: Uint8Array, offset: number): T | null {
    const w0 = word(bytes, offset);
    const w1 = word(bytes, offset + 4);
    const w2 = word(bytes, offset + 8);
    const w3 = word(bytes, offset + 12);
    let found: T | null = null;
    let node = this.#root6;
    while (
      node !== null &&
      (((w0 ^ node.w0) & node.m0) |
        ((w1 ^ node.w1) & node.m1) |
        ((w2 ^ node.w2) & node.m2) |
        ((w3 ^ node.w3) & node.m3)) ===
        0
    ) {
      if (node.owner !== null) found = node.owner;
      const at = node.length;
      const w = at < 64 ? (at < 32 ? w0 : w1) : at < 96 ? w2 : w3;
      node = (w >>> (31 - (at & 31))) & 1 ? node.one : node.zero;
    }
    return found;
  }

  /** Whose source address the IP packet of `length` bytes at `offset` has; null also when it is not an IP packet. */
  lookupSource(bytes: Uint8Array, offset: number, length: number): T | null {
    if (length >= V4_HEADER && bytes[offset]! >> 4 === 4) return this.lookup4(word(bytes, offset + V4_SOURCE));
    if (length >= V6_HEADER && bytes[offset]! >> 4 === 6) return this.lookup6(bytes, offset + V6_SOURCE);
    return null;
  }

  /** Whose destination address it has. */
  lookupDestination(bytes: Uint8Array, offset: number, length: number): T | null {
    if (length >= V4_HEADER && bytes[offset]! >> 4 === 4) return this.lookup4(word(bytes, offset + V4_DESTINATION));
    if (length >= V6_HEADER && bytes[offset]! >> 4 === 6) return this.lookup6(bytes, offset + V6_DESTINATION);
    return null;
  }

  /** The node of exactly this prefix, made if it is not there. */
  #place(key: Uint8Array, length: number): Node<T> {
    const path = this.#pathTo(key, length);
    const parent = path.at(-1) ?? null;
    if (parent !== null && parent.length === length) return parent;
    const node = new Node<T>(length, key);
    const below = parent === null ? this.#root(key.length) : child(parent, key);
    if (below === null) {
      this.#attach(parent, node);
      return node;
    }
    const shared = Math.min(length, commonBits(below.bytes, key));
    if (shared === length) {
      this.#attach(parent, node);
      this.#attach(node, below);
      return node;
    }
    const fork = new Node<T>(shared, maskBits(key, shared));
    this.#attach(parent, fork);
    this.#attach(fork, below);
    this.#attach(fork, node);
    return node;
  }

  /** The nodes from the root down that hold this prefix, the narrowest last. */
  #pathTo(key: Uint8Array, length: number): Node<T>[] {
    const path: Node<T>[] = [];
    let node = this.#root(key.length);
    while (node !== null && node.length <= length && commonBits(node.bytes, key) >= node.length) {
      path.push(node);
      if (node.length === length) break;
      node = child(node, key);
    }
    return path;
  }

  /** Takes out the last node of the path, and then a fork above it, unless they are still needed. */
  #prune(path: Node<T>[], bytes: number): void {
    for (let i = path.length - 1; i >= 0; i--) {
      const node = path[i]!;
      if (node.owner !== null || (node.zero !== null && node.one !== null)) return;
      this.#replace(path[i - 1] ?? null, node, node.zero ?? node.one, bytes);
    }
  }

  #replace(parent: Node<T> | null, node: Node<T>, by: Node<T> | null, bytes: number): void {
    if (parent === null) this.#setRoot(bytes, by);
    else if (parent.zero === node) parent.zero = by;
    else parent.one = by;
  }

  #attach(parent: Node<T> | null, node: Node<T>): void {
    if (parent === null) this.#setRoot(node.bytes.length, node);
    else if (bitAt(node.bytes, parent.length) === 0) parent.zero = node;
    else parent.one = node;
  }

  #root(bytes: number): Node<T> | null {
    return bytes === 4 ? this.#root4 : this.#root6;
  }

  #setRoot(bytes: number, node: Node<T> | null): void {
    if (bytes === 4) this.#root4 = node;
    else this.#root6 = node;
  }

  #disown(node: Node<T>): void {
    if (node.owner === null) return;
    const nodes = this.#owned.get(node.owner)!;
    nodes.delete(node);
    if (nodes.size === 0) this.#owned.delete(node.owner);
    node.owner = null;
  }
}

function child<T>(node: Node<T>, key: Uint8Array): Node<T> | null {
  return bitAt(key, node.length) === 0 ? node.zero : node.one;
}
