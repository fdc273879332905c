import { HEADER_LENGTH, RECORD_MAX, headerLength } from '../stream/header.js';
import { RecordReader } from '../stream/reader.js';
import type { Slab } from '../slab/slab.js';
import type { GapReason } from './reassembly.js';
import { PACKET_MAX } from './packet.js';

/** Why bytes were passed over before a record. */
export type SkipReason =
  /** bytes that belong to no record: a receiver resynchronises as well */
  | 'garbage'
  /** the stream was joined in the middle, or bytes are missing from the capture before them */
  | 'gap';

/** Where a record stream puts what it finds. Offsets are into the scratch slab, positions into the stream. */
export interface RecordSink {
  /**
   * Judges a complete record without a trace.
   * @returns false when it certainly is no genuine message of a known session
   */
  judge(stream: RecordStream, message: number, length: number): boolean;
  /** Takes the record that was judged last. `position`: where it begins. */
  record(stream: RecordStream, position: number, header: number, message: number, length: number, flags: number): void;
  /** Takes a record of which only the first `present` bytes of the message are there. */
  cut(
    stream: RecordStream,
    position: number,
    header: number,
    message: number,
    present: number,
    length: number,
    flags: number,
  ): void;
  skipped(stream: RecordStream, position: number, length: number, why: SkipReason): void;
}

/** Memory for incomplete records in all streams together, bytes. */
export interface PartialBudget {
  used: number;
}

/** One capture has few streams that stop inside a large record. */
const PARTIAL_MAX = 32 << 20;
/** What a stream has for its incomplete record at least, once it had one (stream/reader.ts). */
const PARTIAL_MIN = 2048;
/** What has to fit into the scratch slab: what the reader kept, what waited for the rest of it, and one segment. */
export const SCRATCH_SIZE = 2 * RECORD_MAX + PACKET_MAX;

/**
 * Finds the records in one direction of a captured TCP stream.
 *
 * Theory of operation. The work is RecordReader's. What is added: bytes of a long record that comes in many segments are gathered
 * here and shown to the reader once; and where bytes are missing from the capture, the header that was seen
 * before still says where the next record begins, so that a gap inside a record costs that record only. A gap of unknown
 * extent makes the reader search. Only bytes that were really on the wire and belong to no record count as a resync.
 */
export class RecordStream {
  /** records handed out, and of these how many are cut */
  records = 0;
  cutRecords = 0;
  /** runs of garbage that a record followed, and their bytes */
  resyncs = 0;
  skippedBytes = 0;
  /** bytes seen */
  bytes = 0;

  #reader = new RecordReader();
  #waiting: Uint8Array = EMPTY;
  #waited = 0;
  /** what of the budget is taken here */
  #taken = 0;
  /** bytes still to come of a record that has a gap in it */
  #remains = 0;
  /** where the last record ended, and why what lies between there and the next may be skipped */
  #end = 0;
  #why: SkipReason;
  /** stream position behind the last byte seen */
  #position = 0;

  /** @param joined the stream's beginning is not in the capture */
  constructor(
    private readonly sink: RecordSink,
    private readonly scratch: Slab,
    private readonly budget: PartialBudget,
    joined: boolean,
  ) {
    this.#why = joined ? 'gap' : 'garbage';
  }

  /** Of the record that is incomplete now: how many bytes of it are there; 0 when the stream stands at a boundary, or out of step. */
  get partial(): number {
    return this.#reader.searching ? 0 : this.#reader.kept + this.#waited;
  }

  /** … and how many it has. 0 when that is not known. */
  get partialLength(): number {
    const missing = this.#reader.missing;
    return missing === 0 ? 0 : this.#reader.kept + missing;
  }

  /** Takes bytes that follow on those before. */
  data(position: number, bytes: Uint8Array, offset: number, length: number): void {
    this.bytes += length;
    this.#position = position + length;
    let at = offset;
    let left = length;
    if (this.#remains > 0) {
      const n = Math.min(this.#remains, left);
      this.#remains -= n;
      at += n;
      left -= n;
      if (left === 0) return;
    }
    const missing = this.#reader.missing - this.#waited;
    if (missing > left) return this.#wait(bytes, at, left);
    this.#walk(bytes, at, left);
  }

  /** Bytes are missing from the capture. */
  gap(position: number, length: number, _why: GapReason): void {
    const after = position + length;
    this.#position = after;
    if (this.#remains >= length && length > 0) {
      this.#remains -= length;
      return;
    }
    const missing = length === 0 ? 0 : this.#reader.missing - this.#waited;
    this.#reportCut();
    this.#restart();
    // The record's header says where the next one begins, if the gap ends before that.
    this.#remains = missing >= length ? missing - length : 0;
    this.#end = after + this.#remains;
    if (missing < length || length === 0) this.#why = 'gap';
  }

  /** No more bytes will come. Reports the record that is incomplete. */
  finish(): void {
    this.#reportCut();
    this.#restart();
  }

  #wait(bytes: Uint8Array, offset: number, length: number): void {
    if (this.budget.used + length > PARTIAL_MAX) return this.#giveUp(this.#reader.missing - this.#waited - length);
    const size = this.#waited + length;
    if (this.#waiting.length < size) {
      const grown = new Uint8Array(Math.min(RECORD_MAX, Math.max(2 * this.#waiting.length, size, 2048)));
      grown.set(this.#waiting.subarray(0, this.#waited));
      this.#waiting = grown;
    }
    this.#waiting.set(length === bytes.length ? bytes : bytes.subarray(offset, offset + length), this.#waited);
    this.#waited = size;
    this.#account();
  }

  /** There is no room for the incomplete record, of which `missing` bytes are still to come. */
  #giveUp(missing: number): void {
    this.#reportCut();
    this.#restart();
    this.#remains = missing;
    this.#end = this.#position + missing;
  }

  #account(): void {
    const { kept } = this.#reader;
    const taken = this.#waiting.length + (kept > 0 ? Math.max(kept, PARTIAL_MIN) : 0);
    this.budget.used += taken - this.#taken;
    this.#taken = taken;
  }

  #walk(bytes: Uint8Array, offset: number, length: number): void {
    const total = this.#lay() + length;
    const all = this.scratch.bytes;
    all.set(bytes.subarray(offset, offset + length), total - length);
    const base = this.#position - total;
    const reader = this.#reader;
    this.#forgetWaiting();
    reader.attach(all, 0, total);
    while (reader.next()) {
      const genuine = this.sink.judge(this, reader.messageOffset, reader.messageLength);
      if (!genuine && reader.found) {
        reader.reject();
        continue;
      }
      const position = base + reader.recordOffset;
      const end = base + reader.messageOffset + reader.messageLength;
      if (position > this.#end) this.#skip(position);
      this.#why = 'garbage';
      this.#end = end;
      this.records++;
      this.sink.record(this, position, reader.recordOffset, reader.messageOffset, reader.messageLength, reader.flags);
      if (!genuine) reader.reject();
    }
    reader.detach();
    this.#account();
    if (this.budget.used > PARTIAL_MAX && reader.missing > 0) this.#giveUp(reader.missing);
  }

  #skip(position: number): void {
    const length = position - this.#end;
    if (this.#why === 'garbage') {
      this.resyncs++;
      this.skippedBytes += length;
    }
    this.sink.skipped(this, this.#end, length, this.#why);
  }

  /** Lays what is incomplete at the beginning of the scratch slab; returns how much that is. */
  #lay(): number {
    const kept = this.#reader.restore(this.scratch.bytes, 0);
    if (this.#waited > 0) this.scratch.bytes.set(this.#waiting.subarray(0, this.#waited), kept);
    return kept + this.#waited;
  }

  #reportCut(): void {
    const reader = this.#reader;
    if (reader.searching || reader.kept + this.#waited < HEADER_LENGTH) return;
    const record = reader.kept + reader.missing;
    const there = this.#lay();
    const flags = this.scratch.bytes[5]!;
    const header = headerLength(flags);
    if (this.partialLength === 0 || there < header) return;
    const position = this.#end;
    this.records++;
    this.cutRecords++;
    this.sink.cut(this, position, 0, header, there - header, record - header, flags);
  }

  #restart(): void {
    this.#reader = new RecordReader();
    this.#waited = 0;
    this.#waiting = EMPTY;
    this.#account();
  }

  #forgetWaiting(): void {
    this.#waited = 0;
    if (this.#waiting.length > PARTIAL_MIN) this.#waiting = EMPTY;
  }
}

const EMPTY = new Uint8Array(0);
