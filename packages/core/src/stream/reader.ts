import { HEADER_LENGTH, RECORD_MAX, headerLength, recordLengthAt } from './header.js';
import { findHeader, judgeMessage } from './resync.js';

/**
 * Cuts a TCP stream into records.
 *
 * Theory of operation. Records are parsed where they lie: the caller reads from its socket into a slab, behind the bytes
 * that the reader kept from before (`restore`), and then walks the records of that range:
 *
 *     const kept = reader.restore(slab.bytes, 0);
 *     const n = recv(slab, kept, …);
 *     reader.attach(slab.bytes, 0, kept + n);
 *     while (reader.next()) handle(slab, reader.messageOffset, reader.messageLength) || reader.reject();
 *     reader.detach();
 *
 * Only the incomplete record at the end is copied, once.
 *
 * When the bytes at the cursor are no valid header, the reader searches for one, byte by byte, and looks at the message
 * behind it before it trusts it (resync.ts). A record that then fails authentication was a wrong guess, or had bytes removed
 * so that it reached into its successor: `reject` makes the search go on inside it, so that no good record is swallowed.
 * At most the last 7 bytes are kept when none is found, and never more than one record.
 */
export class RecordReader {
  /** Of the record that `next` found: where its message lies in the attached bytes, and how long it is. */
  messageOffset = 0;
  messageLength = 0;
  /** the record's flags byte */
  flags = 0;
  /** where the record itself begins */
  recordOffset = 0;
  /** whether the record was found by searching, so that it is a guess until it authenticates */
  found = false;
  /** how often the stream was found out of step */
  resyncs = 0;
  /** bytes passed over while searching */
  skippedBytes = 0;
  /** complete records handed out */
  records = 0;

  #bytes: Uint8Array = EMPTY;
  #cursor = 0;
  #end = 0;
  #recordEnd = 0;
  #searching = false;
  /** bytes at the cursor that belong to a record that was refused, and the length of that record */
  #doubtful = 0;
  #refusedLength = 0;
  #tail: Uint8Array = EMPTY;
  #kept = 0;

  /** Bytes kept from the ranges before: 0, or the beginning of a record (or of what may become one). */
  get kept(): number {
    return this.#kept;
  }

  /** Whether the stream is out of step now, or may be because a record was refused. */
  get searching(): boolean {
    return this.#searching || this.#doubtful > 0;
  }

  /** How many more bytes complete the record that was begun; 0 when that is not known. */
  get missing(): number {
    if (this.#kept < HEADER_LENGTH) return 0;
    const length = recordLengthAt(this.#tail, 0);
    return length === 0 ? 0 : length - this.#kept;
  }

  /** Lays the kept bytes at `offset`, where the next read goes on behind them; returns how many. */
  restore(bytes: Uint8Array, offset: number): number {
    const kept = this.#kept;
    if (kept !== 0) bytes.set(this.#tail.subarray(0, kept), offset);
    return kept;
  }

  /** Begins to walk [start, end) of `bytes`, which begins with what `restore` laid there. */
  attach(bytes: Uint8Array, start: number, end: number): void {
    this.#bytes = bytes;
    this.#cursor = start;
    this.#end = end;
    this.#kept = 0;
  }

  /** Moves to the next complete record; false when there is none in the attached bytes. */
  next(): boolean {
    if (this.#doubtful > 0 && !this.#lookInside()) return false;
    for (;;) {
      const at = this.#cursor;
      if (this.#end - at < HEADER_LENGTH) return false;
      const length = recordLengthAt(this.#bytes, at);
      if (length === 0) {
        if (!this.#searching) {
          this.#searching = true;
          this.resyncs++;
        }
        const found = findHeader(this.#bytes, at + 1, this.#end);
        this.#skipTo(found >= 0 ? found : Math.max(at + 1, this.#end - HEADER_LENGTH + 1));
        continue;
      }
      if (this.#searching) {
        const verdict = judgeMessage(this.#bytes, at, this.#end);
        if (verdict === 'more bytes needed') return false;
        if (verdict === 'noise') {
          this.#skipTo(at + 1);
          continue;
        }
      }
      if (this.#end - at < length) return false;
      this.flags = this.#bytes[at + 5]!;
      const header = headerLength(this.flags);
      this.recordOffset = at;
      this.messageOffset = at + header;
      this.messageLength = length - header;
      this.found = this.#searching;
      this.records++;
      this.#searching = false;
      this.#cursor = this.#recordEnd = at + length;
      return true;
    }
  }

  /**
   * Says that the record from the last `next` did not authenticate. Searches inside it: for the record that a wrong guess covers, or for the
   * successor that it reaches into because bytes are missing from it.
   */
  reject(): void {
    if (this.found) {
      this.records--;
      this.#searching = true;
      this.#cursor = this.recordOffset;
      this.#skipTo(this.recordOffset + 1);
      return;
    }
    this.#cursor = this.recordOffset + 1;
    this.#doubtful = this.#recordEnd - this.#cursor;
    this.#refusedLength = this.#recordEnd - this.recordOffset;
    this.#lookInside();
  }

  /** Ends the walk and keeps what is incomplete. The attached bytes may be reused afterwards. */
  detach(): void {
    const kept = this.#end - this.#cursor;
    if (kept > 0) {
      if (this.#tail.length < kept) this.#tail = kept > SMALL ? takeLarge() : new Uint8Array(SMALL);
      this.#tail.set(this.#bytes.subarray(this.#cursor, this.#end));
    } else if (this.#tail.length > SMALL) {
      giveLarge(this.#tail);
      this.#tail = EMPTY;
    }
    this.#kept = kept;
    this.#bytes = EMPTY;
  }

  /**
   * Searches the rest of a refused record for a header with a message behind it. One that begins in the last bytes may end in what has not arrived: then those
   * bytes are kept, and the search goes on when there are more.
   * @returns false when more bytes are needed to say
   */
  #lookInside(): boolean {
    const end = this.#cursor + this.#doubtful;
    const limit = end + HEADER_LENGTH - 1;
    let at = this.#cursor - 1;
    while ((at = findHeader(this.#bytes, at + 1, Math.min(this.#end, limit))) >= 0) {
      const likelihood = judgeMessage(this.#bytes, at, this.#end);
      if (likelihood === 'noise') continue;
      this.#cursor = at;
      this.#doubtful = end - at;
      if (likelihood === 'more bytes needed') return false;
      this.#doubtful = 0;
      this.#searching = true;
      this.resyncs++;
      this.skippedBytes += at - end + this.#refusedLength;
      return true;
    }
    this.#cursor = this.#end >= limit ? end : Math.max(this.#cursor, this.#end - HEADER_LENGTH + 1);
    this.#doubtful = end - this.#cursor;
    return this.#doubtful === 0;
  }

  #skipTo(offset: number): void {
    this.skippedBytes += offset - this.#cursor;
    this.#cursor = offset;
  }
}

const EMPTY = new Uint8Array(0);
/** A tail buffer up to this size is kept for the next use: most connections never need a larger one. */
const SMALL = 2048;

/**
 * Larger ones go from reader to reader: long records (offload/record.ts) leave a tail at nearly every read, and none at the end of a burst. They hold
 * only what the network has seen.
 */
const large: Uint8Array[] = [];
const LARGE_MAX = 8;

function takeLarge(): Uint8Array {
  return large.pop() ?? new Uint8Array(RECORD_MAX);
}

function giveLarge(tail: Uint8Array): void {
  if (large.length < LARGE_MAX) large.push(tail);
}
