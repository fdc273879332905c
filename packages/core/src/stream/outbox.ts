import type { Slab } from '../slab/slab.js';
import type { SlabSource } from '../slab/pool.js';
import { StandingQueue } from './standingqueue.js';
import { FRAGMENT_LENGTH, HEADER_LENGTH, writeFragmentHeader, writeHeader } from './header.js';

/**
 * The send queue of one TCP connection: whole records, written once, in the slab that the socket writes from.
 *
 * Theory of operation. A record is reserved (room behind the last one, header written), sealed in place by the caller, and
 * committed. The driver asks for the next run of bytes (`peek`) and says how many the kernel took (`written`); a record
 * that was cut by a short write is continued exactly there, whatever else happens, because the receiver counts bytes.
 *
 * The queue is short on purpose: a tunnel that stores seconds of traffic makes the inner TCP's retransmissions queue up behind
 * copies of the same data. It is bounded in records, bytes and age; when a bound is met the *oldest data* goes, so that the inner
 * sender hears of the congestion soonest. And a queue within its bounds that does not go away is worn down (standingqueue.ts). Handshakes and keepalives are never dropped for data, and once the socket has pushed
 * back they overtake it, at a record boundary.
 *
 * The slab is taken when the first record comes and given back when the last is gone: an idle connection holds no memory.
 */
export const enum RecordKind {
  data = 0,
  /** a handshake message, cookie reply or keepalive */
  control = 1,
}

/** Bounds of one connection's queue. */
export interface OutboxLimits {
  /** records */
  readonly records: number;
  /** bytes; at most half a slab, so that a half-written run and new records fit together */
  readonly bytes: number;
  /** ms that data may wait before it is dropped rather than sent */
  readonly age: number;
}

/** Enough for one burst from the TUN (several 64 KiB super-packets); a tenth of a second is what inner TCP takes for a long path. */
export const OUTBOX_LIMITS: OutboxLimits = { records: 512, bytes: 384 * 1024, age: 100 };

/** Why records did not leave: names of the counters that `show` prints. */
export interface OutboxDrops {
  queueFull: number;
  queueAge: number;
  connectionLost: number;
}

export class Outbox {
  /** The run that `peek` found. */
  runOffset = 0;
  runLength = 0;
  /** bytes committed and not yet taken by the kernel */
  queuedBytes = 0;
  /** whole or partly written records that wait */
  queuedRecords = 0;
  /** bytes taken by the kernel since the connection began */
  writtenBytes = 0;
  readonly drops: OutboxDrops = { queueFull: 0, queueAge: 0, connectionLost: 0 };

  #slab: Slab | null = null;
  /** end of the last committed record in the slab */
  #tail = 0;
  #reserved = 0;
  #reservedLength = 0;
  /** whether the last write was cut short: from then on control overtakes data */
  #blocked = false;

  // Records in a ring, by sequence number modulo its size. A record with length 0 is gone (sent out of turn, or dropped).
  // Made with the first reservation, because most connections of strangers never send anything.
  readonly #mask: number;
  #offsets = new Int32Array(0);
  #lengths = new Int32Array(0);
  #times = new Float64Array(0);
  #kinds = new Uint8Array(0);
  #first = 0;
  #next = 0;
  #controls = 0;
  /** the record that a short write cut, and how much of it the kernel has */
  #partial = -1;
  #partialWritten = 0;
  #runFirst = 0;
  readonly #standing = new StandingQueue();

  constructor(
    private readonly source: SlabSource,
    private readonly limits: OutboxLimits = OUTBOX_LIMITS,
  ) {
    // Twice the limit, as controls come on top and gone records stay in the ring until the first one leaves.
    this.#mask = 2 ** Math.ceil(Math.log2(limits.records * 2)) - 1;
  }

  /** The slab of the last reservation. */
  get slab(): Slab {
    return this.#slab!;
  }

  get isEmpty(): boolean {
    return this.queuedRecords === 0;
  }

  /** Whether the kernel took less than offered at the last write. */
  get isBlocked(): boolean {
    return this.#blocked;
  }

  /** Whether the socket takes no more and what waits for it has waited for long: more comes in than the path takes. (It also waits while this process does.) */
  get isLong(): boolean {
    return this.#blocked && this.#standing.isLong;
  }

  /** Bytes still to be written of the record that a short write cut; 0 when there is none. */
  get unfinished(): number {
    return this.#partial < 0 ? 0 : this.#lengths[this.#partial & this.#mask]! - this.#partialWritten;
  }

  /** Tells how long the path is: the least round trip that was measured, ms. */
  set roundTrip(ms: number) {
    this.#standing.roundTrip = ms;
  }

  /** When the oldest waiting record was committed; Infinity when none waits. */
  get oldest(): number {
    for (let i = this.#first; i < this.#next; i++) {
      if (this.#lengths[i & this.#mask] !== 0) return this.#times[i & this.#mask]!;
    }
    return Infinity;
  }

  /**
   * Room for a message of `messageLength` bytes, its header written in front of it.
   * @param identification with `fragment`: the inner IPv4 packet's fields when it is a fragment, else -1
   * @returns the message's offset in `slab`, or -1 when the queue is full of what may not be dropped
   */
  reserve(messageLength: number, identification = -1, fragment = 0): number {
    const header = identification < 0 ? HEADER_LENGTH : HEADER_LENGTH + FRAGMENT_LENGTH;
    const length = header + messageLength;
    this.#open();
    if (!this.#makeRoom(length)) {
      this.drops.queueFull++;
      if (this.queuedRecords === 0) this.#release();
      return -1;
    }
    const at = this.#tail;
    if (identification < 0) writeHeader(this.slab.bytes, at, messageLength);
    else writeFragmentHeader(this.slab.bytes, at, messageLength, identification, fragment);
    this.#reserved = at;
    this.#reservedLength = length;
    return at + header;
  }

  /** Makes the reserved record part of the queue. @param now ms */
  commit(kind: RecordKind, now: number): void {
    const at = this.#next++ & this.#mask;
    this.#offsets[at] = this.#reserved;
    this.#lengths[at] = this.#reservedLength;
    this.#times[at] = now;
    this.#kinds[at] = kind;
    this.#tail = this.#reserved + this.#reservedLength;
    this.queuedBytes += this.#reservedLength;
    this.queuedRecords++;
    if (kind === RecordKind.control) this.#controls++;
  }

  /** Finds the next run of bytes to write, in runOffset and runLength; false when there are none. Drops data that is too old, and of a queue that stands. */
  peek(now: number): boolean {
    this.#dropOlderThan(now - this.limits.age);
    this.#wearDown(now);
    if (this.queuedRecords === 0) return false;
    let from = this.#partial;
    if (from < 0) {
      from = this.#first;
      if (this.#blocked && this.#controls > 0) {
        while (this.#lengths[from & this.#mask] === 0 || this.#kinds[from & this.#mask] !== RecordKind.control) from++;
      }
    }
    const skip = from === this.#partial ? this.#partialWritten : 0;
    this.#runFirst = from;
    this.runOffset = this.#offsets[from & this.#mask]! + skip;
    let end = this.#offsets[from & this.#mask]! + this.#lengths[from & this.#mask]!;
    // Out of turn only the one record; in turn all that lie behind each other.
    if (from === this.#first) {
      for (let i = from + 1; i < this.#next; i++) {
        const at = i & this.#mask;
        if (this.#lengths[at] === 0 || this.#offsets[at] !== end) break;
        end += this.#lengths[at]!;
      }
    }
    this.runLength = end - this.runOffset;
    return true;
  }

  /** Says that the kernel took `count` bytes of the run that `peek` found; fewer than its length means that it pushed back. */
  written(count: number): void {
    this.#blocked = count < this.runLength;
    this.writtenBytes += count;
    this.queuedBytes -= count;
    let left = count;
    let i = this.#runFirst;
    if (left > 0 && this.#partial >= 0) {
      left += this.#partialWritten;
      this.#partial = -1;
    } else if (left === 0) return;
    while (left > 0) {
      const length = this.#lengths[i & this.#mask]!;
      if (left < length) {
        this.#partial = i;
        this.#partialWritten = left;
        break;
      }
      left -= length;
      this.#remove(i);
      i++;
    }
    this.#advance();
  }

  /** Moves all whole records that are still fresh to another connection's queue; the partly written one is lost. */
  moveTo(other: Outbox, now: number): void {
    for (let i = this.#first; i < this.#next; i++) {
      const at = i & this.#mask;
      const length = this.#lengths[at]!;
      if (length === 0) continue;
      const fresh = this.#kinds[at] === RecordKind.control || this.#times[at]! >= now - this.limits.age;
      if (i === this.#partial || !fresh || !other.#adopt(this, at)) this.drops.connectionLost++;
    }
    this.#clear();
  }

  /** Forgets everything and gives the slab back. Records that were waiting count as lost. */
  close(): void {
    this.drops.connectionLost += this.queuedRecords;
    this.#clear();
  }

  #open(): void {
    this.#slab ??= this.source.take();
    if (this.#lengths.length !== 0) return;
    const size = this.#mask + 1;
    this.#offsets = new Int32Array(size);
    this.#lengths = new Int32Array(size);
    this.#times = new Float64Array(size);
    this.#kinds = new Uint8Array(size);
  }

  #adopt(from: Outbox, at: number): boolean {
    const length = from.#lengths[at]!;
    this.#open();
    if (!this.#makeRoom(length)) return false;
    const start = from.#offsets[at]!;
    this.slab.bytes.set(from.#slab!.bytes.subarray(start, start + length), this.#tail);
    this.#reserved = this.#tail;
    this.#reservedLength = length;
    this.commit(from.#kinds[at]! as RecordKind, from.#times[at]!);
    return true;
  }

  /** Drops the oldest data until `length` more bytes are within the bounds, and makes that room contiguous. */
  #makeRoom(length: number): boolean {
    if (length > this.limits.bytes) return false;
    while (
      this.queuedRecords > 0 &&
      (this.queuedBytes + length > this.limits.bytes || this.queuedRecords >= this.limits.records)
    ) {
      if (!this.#dropOldestData()) {
        if (this.queuedBytes + length > this.limits.bytes || this.queuedRecords > this.limits.records) return false;
        break;
      }
      this.drops.queueFull++;
    }
    // When everything was dropped the slab was given back.
    this.#open();
    if (this.#next - this.#first > this.#mask || this.#tail + length > this.#slab!.size) this.#compact();
    return this.#next - this.#first <= this.#mask && this.#tail + length <= this.#slab!.size;
  }

  #dropOldestData(): boolean {
    for (let i = this.#first; i < this.#next; i++) {
      const at = i & this.#mask;
      if (this.#lengths[at] === 0 || this.#kinds[at] !== RecordKind.data || i === this.#partial) continue;
      this.queuedBytes -= this.#lengths[at]!;
      this.#remove(i);
      this.#advance();
      return true;
    }
    return false;
  }

  #dropOlderThan(limit: number): void {
    for (let i = this.#first; i < this.#next; i++) {
      const at = i & this.#mask;
      if (this.#times[at]! >= limit) break;
      if (this.#lengths[at] === 0 || this.#kinds[at] !== RecordKind.data || i === this.#partial) continue;
      this.queuedBytes -= this.#lengths[at]!;
      this.drops.queueAge++;
      this.#remove(i);
    }
    this.#advance();
  }

  #wearDown(now: number): void {
    for (let i = this.#first; i < this.#next; i++) {
      const at = i & this.#mask;
      if (this.#lengths[at] === 0 || this.#kinds[at] !== RecordKind.data || i === this.#partial) continue;
      if (!this.#standing.drops(now, now - this.#times[at]!, this.queuedRecords === 1)) break;
      this.queuedBytes -= this.#lengths[at]!;
      this.drops.queueAge++;
      this.#remove(i);
    }
    this.#advance();
  }

  #remove(i: number): void {
    const at = i & this.#mask;
    if (this.#kinds[at] === RecordKind.control) this.#controls--;
    this.#lengths[at] = 0;
    this.queuedRecords--;
  }

  #advance(): void {
    while (this.#first < this.#next && this.#lengths[this.#first & this.#mask] === 0) this.#first++;
    if (this.queuedRecords === 0) this.#clear();
  }

  /** Moves what waits to the front of the slab and closes the gaps in the ring. */
  #compact(): void {
    const bytes = this.#slab!.bytes;
    let end = 0;
    let to = this.#first;
    for (let i = this.#first; i < this.#next; i++) {
      const at = i & this.#mask;
      const length = this.#lengths[at]!;
      if (length === 0) continue;
      bytes.copyWithin(end, this.#offsets[at]!, this.#offsets[at]! + length);
      const target = to & this.#mask;
      this.#offsets[target] = end;
      this.#lengths[target] = length;
      this.#times[target] = this.#times[at]!;
      this.#kinds[target] = this.#kinds[at]!;
      if (i === this.#partial) this.#partial = to;
      end += length;
      to++;
    }
    this.#next = to;
    this.#tail = end;
  }

  #clear(): void {
    this.#first = this.#next = 0;
    this.#tail = 0;
    this.#partial = -1;
    this.#controls = 0;
    this.queuedBytes = this.queuedRecords = 0;
    this.#blocked = false;
    this.#standing.emptied();
    this.#release();
  }

  #release(): void {
    if (this.#slab === null) return;
    this.source.give(this.#slab);
    this.#slab = null;
  }
}
