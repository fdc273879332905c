import type { Endpoint } from '../address/endpoint.js';
import type { Driver } from '../device/driver.js';
import type { Peer } from '../device/peer.js';
import type { ConnectionSnapshot } from '../device/snapshot.js';
import type { Slab } from '../slab/slab.js';
import type { Carrier } from './carrier.js';
import { Outbox, type OutboxLimits, type RecordKind } from './outbox.js';
import { RecordReader } from './reader.js';

/**
 * dialling: SYN sent. established: TCP is up, which says nothing of identity. authenticated: a message of the peer's was verified on it.
 * draining: replaced; what is queued still goes out, nothing new. closed: the driver has forgotten it.
 */
export type ConnectionState = 'dialling' | 'established' | 'authenticated' | 'draining' | 'closed';

/** Queued bytes that make no progress for this long mean a dead path, ms (DESIGN 4; TCP_USER_TIMEOUT does the same for bytes in flight). */
export const STALL_TIME = 10_000;

/** Failed authentications in a row on an authenticated connection before it is given up: each costs a decryption. */
const REJECTED_MAX = 64;
/** Bytes searched without a valid record before an authenticated connection is given up: two of the longest records. */
const SKIPPED_MAX = 2 * 65_543;

/**
 * One TCP connection: its reader, its send queue, its times and its one owner, which is the pending list as long as `peer` is null and
 * that peer's links afterwards. Ids increase, so that late news of an older connection can be told from news of a newer one.
 */
export class Connection implements Carrier {
  readonly transport = 'tcp';
  readonly reader = new RecordReader();
  readonly outbox: Outbox;
  state: ConnectionState;
  peer: Peer | null = null;
  local: Endpoint | null = null;
  /** The driver stops polling for input while this is false. */
  wantsInput = true;
  /** messages of a stranger's that told nothing and may have cost something, and those that cost a look-up */
  neutral = 0;
  unknown = 0;
  /** Set when `driver.flush` was asked for, cleared by the driver when it flushes: one request per batch. */
  flushRequested = false;
  /** For the driver's own use (a descriptor, a socket). */
  handle: unknown = null;

  // Times, ms on the monotonic clock.
  establishedAt: number;
  authenticatedAt = -Infinity;
  /** last authenticated and new message */
  lastReceived = -Infinity;
  /** last handshake that completed on it */
  lastHandshake = -Infinity;
  /** last bytes of any kind */
  lastInput: number;
  /** last time that the kernel took queued bytes, or that the queue became non-empty */
  progressAt: number;

  #rejected = 0;
  #skippedAtRecord = 0;

  constructor(
    readonly id: number,
    readonly direction: 'outbound' | 'inbound',
    public remote: Endpoint,
    private readonly driver: Driver,
    readonly createdAt: number,
    limits?: OutboxLimits,
  ) {
    this.outbox = new Outbox(driver.slabs, limits);
    this.state = direction === 'outbound' ? 'dialling' : 'established';
    this.establishedAt = direction === 'outbound' ? Infinity : createdAt;
    this.lastInput = this.progressAt = createdAt;
  }

  /** Whether new records may be sent on it. */
  get isUsable(): boolean {
    return this.state === 'established' || this.state === 'authenticated';
  }

  get slab(): Slab {
    return this.outbox.slab;
  }

  reserve(messageLength: number, identification = -1, fragment = 0): number {
    return this.isUsable ? this.outbox.reserve(messageLength, identification, fragment) : -1;
  }

  commit(kind: RecordKind, now: number): void {
    if (this.outbox.isEmpty) this.progressAt = now;
    this.outbox.commit(kind, now);
    this.requestFlush();
  }

  requestFlush(): void {
    if (this.flushRequested) return;
    this.flushRequested = true;
    this.driver.flush(this);
  }

  /** The driver's word that the kernel took `count` bytes of the outbox's run. */
  written(count: number, now: number): void {
    this.outbox.written(count);
    if (count > 0) this.progressAt = now;
  }

  /** Takes over what another connection had queued, as far as it is fresh. */
  takeOver(queue: Outbox, now: number): void {
    if (this.outbox.isEmpty) this.progressAt = now;
    queue.moveTo(this.outbox, now);
    if (!this.outbox.isEmpty) this.requestFlush();
  }

  /** When the connection counts as stalled unless it makes progress; Infinity when nothing waits. */
  get stallsAt(): number {
    return this.outbox.isEmpty ? Infinity : this.progressAt + STALL_TIME;
  }

  /** A record was verified: the stream is what it claims to be up to here. */
  accepted(): void {
    this.#rejected = 0;
    this.#skippedAtRecord = this.reader.skippedBytes;
  }

  /** A record was not verified: searches inside it. */
  rejected(): void {
    this.#rejected++;
    this.reader.reject();
  }

  /**
   * A record has an index that nobody knows: of keys that are gone, which is no damage, or of a message that lost bytes in front of the index's end, and
   * then it reaches into its successor. Searches inside it, but does not hold it against the connection.
   */
  doubted(): void {
    this.reader.reject();
  }

  /** Whether the stream has been damaged for so long that searching on costs more than a new connection. */
  get isBeyondRepair(): boolean {
    return this.#rejected > REJECTED_MAX || this.reader.skippedBytes - this.#skippedAtRecord > SKIPPED_MAX;
  }

  snapshot(now: number, active: boolean): ConnectionSnapshot {
    const { queueFull, queueAge, connectionLost } = this.outbox.drops;
    const oldest = this.outbox.oldest;
    return {
      id: this.id,
      direction: this.direction,
      state: this.state === 'closed' ? 'draining' : this.state,
      local: this.local,
      remote: this.remote,
      ageMs: now - this.createdAt,
      lastHandshakeAgeMs: this.lastHandshake === -Infinity ? null : now - this.lastHandshake,
      queuedBytes: this.outbox.queuedBytes,
      oldestQueuedMs: oldest === Infinity ? 0 : now - oldest,
      resyncs: this.reader.resyncs,
      skippedBytes: this.reader.skippedBytes,
      active,
      drops: { 'queue-full': queueFull, 'queue-age': queueAge, 'connection-lost': connectionLost },
    };
  }
}
