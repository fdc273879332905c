import { sourceKey, type Endpoint } from '../address/endpoint.js';
import type { PendingSnapshot } from '../device/snapshot.js';
import type { Connection } from './connection.js';

/**
 * Accepted connections that have not carried an authenticated message yet.
 *
 * Theory of operation. Whoever completes TCP's handshake gets a place here, under limits, and a short time to authenticate; until then
 * nothing is ever sent to it. What it sees does not depend on what it sends: a connection whose bytes are no good is not closed
 * earlier than a silent one, it is merely not listened to any more. The list is short; when it is full the oldest entry makes
 * room, because a genuine peer speaks within a round trip and a stranger that holds its place does not.
 */

/** Places in all (DESIGN 4, as the kernel TCP module). */
export const PENDING_MAX = 128;
/** Places per IPv4 address or IPv6 /64. */
export const PENDING_PER_SOURCE = 8;
/** Connections accepted per second and source, and how many at once. */
export const ACCEPTS_PER_SECOND = 32;
/** Silence after which a pending connection is closed, ms. */
export const PENDING_IDLE = 5_000;
/** Time in all, ms, however much it talks. */
export const PENDING_TOTAL = 30_000;
/** ms between two looks at the deadlines while the list is not empty. */
export const PENDING_SWEEP = 1_000;
/** Bytes that a pending connection may send before an authenticated message is complete: an initiation is 156, a keepalive 40. */
export const PENDING_BYTES = 2_048;
/** Messages that tell nothing of who sent them and may have cost a decryption, after which a pending connection is not listened to. */
export const PENDING_NEUTRAL_MAX = 8;
/**
 * The same of messages under an index that nobody knows, each of which costs a look-up: to a device that was restarted a kernel peer sends data under the
 * lost keys for 15 s before it begins a handshake (fixtures/kernel, tcp-reconnect), a stranger may do so at the rate of its line. This is
 * more than an inner TCP connection has under way, and takes some milliseconds in all.
 */
export const PENDING_UNKNOWN_MAX = 16_384;
/** Sources whose accept rate is remembered; the one seen first goes when there are more. */
const SOURCES_MAX = 4_096;

export type Refusal = 'source-full' | 'source-rate' | 'evicted' | 'idle' | 'too-slow' | 'closed-by-stranger';

interface Source {
  count: number;
  tokens: number;
  at: number;
}

export class PendingList {
  readonly #connections = new Set<Connection>();
  readonly #sources = new Map<string, Source>();
  readonly #refusals: Record<Refusal, number> = {
    'source-full': 0,
    'source-rate': 0,
    evicted: 0,
    idle: 0,
    'too-slow': 0,
    'closed-by-stranger': 0,
  };
  #sweepAt = Infinity;

  get size(): number {
    return this.#connections.size;
  }

  /** All of them, oldest first. */
  get all(): Iterable<Connection> {
    return this.#connections;
  }

  /** When the deadlines want to be looked at, ms. */
  get nextSweep(): number {
    return this.#sweepAt;
  }

  /** Whether a connection from there may be let in now. Counts it against the source's rate either way. */
  admits(now: number, from: Endpoint): boolean {
    const source = this.#source(now, sourceKey(from));
    source.tokens = Math.min(ACCEPTS_PER_SECOND, source.tokens + ((now - source.at) / 1000) * ACCEPTS_PER_SECOND);
    source.at = now;
    if (source.tokens < 1) {
      this.#refusals['source-rate']++;
      return false;
    }
    source.tokens--;
    if (source.count >= PENDING_PER_SOURCE) {
      this.#refusals['source-full']++;
      return false;
    }
    return true;
  }

  /** Takes a connection in. @returns the one that must be closed to make room, or null */
  add(now: number, connection: Connection): Connection | null {
    let evicted: Connection | null = null;
    if (this.#connections.size >= PENDING_MAX) {
      evicted = this.#connections.values().next().value!;
      this.remove(evicted);
      this.#refusals.evicted++;
    }
    this.#connections.add(connection);
    this.#source(now, sourceKey(connection.remote)).count++;
    if (this.#sweepAt === Infinity) this.#sweepAt = now + PENDING_SWEEP;
    return evicted;
  }

  /** Lets go of a connection: promoted, or closed from the other side (`closed-by-stranger`). */
  remove(connection: Connection, reason?: Refusal): void {
    if (!this.#connections.delete(connection)) return;
    if (reason !== undefined) this.#refusals[reason]++;
    const source = this.#sources.get(sourceKey(connection.remote));
    if (source !== undefined && source.count > 0) source.count--;
    if (this.#connections.size === 0) this.#sweepAt = Infinity;
  }

  /** The connections whose time is up, removed from the list. */
  sweep(now: number): Connection[] {
    if (now < this.#sweepAt) return [];
    const out: Connection[] = [];
    for (const connection of this.#connections) {
      const reason: Refusal | null =
        now >= connection.createdAt + PENDING_TOTAL
          ? 'too-slow'
          : now >= connection.lastInput + PENDING_IDLE
            ? 'idle'
            : null;
      if (reason === null) continue;
      out.push(connection);
      this.remove(connection, reason);
    }
    this.#sweepAt = this.#connections.size === 0 ? Infinity : now + PENDING_SWEEP;
    return out;
  }

  /** Empties the list (tear-down). */
  clear(): Connection[] {
    const out = [...this.#connections];
    this.#connections.clear();
    this.#sources.clear();
    this.#sweepAt = Infinity;
    return out;
  }

  snapshot(): PendingSnapshot {
    return { size: this.#connections.size, refusals: { ...this.#refusals } };
  }

  #source(now: number, key: string): Source {
    let source = this.#sources.get(key);
    if (source === undefined) {
      if (this.#sources.size >= SOURCES_MAX) this.#forgetOldest();
      source = { count: 0, tokens: ACCEPTS_PER_SECOND, at: now };
      this.#sources.set(key, source);
    }
    return source;
  }

  /** Forgets the source seen first that holds no place. */
  #forgetOldest(): void {
    for (const [key, source] of this.#sources) {
      if (source.count > 0) continue;
      this.#sources.delete(key);
      return;
    }
  }
}
