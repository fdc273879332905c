import { headerLength, recordLengthAt, HEADER_LENGTH } from '../../stream/header.js';

/** Takes one whole record at [offset, offset + length): a header of `header` bytes, then the message. */
export type RecordTaker = (bytes: Uint8Array, offset: number, header: number, length: number) => void;

/**
 * Cuts what was written to one connection into records again. What is written is what we made ourselves: whole records, one behind the other,
 * though a write may end anywhere. A record that is not complete when the connection ends was never sent as one.
 */
export class WrittenRecords {
  #part: Uint8Array = NOTHING;
  #have = 0;

  /** @param unfinished bytes still to come of a record whose beginning was not seen */
  constructor(
    private readonly take: RecordTaker,
    private unfinished: number,
  ) {}

  /** Takes the next `length` bytes, at `offset`. */
  push(bytes: Uint8Array, offset: number, length: number): void {
    let at = offset;
    const end = offset + length;
    const passed = Math.min(this.unfinished, length);
    this.unfinished -= passed;
    at += passed;
    while (at < end) {
      if (this.#have > 0) at += this.#complete(bytes, at, end);
      else {
        const record = end - at < HEADER_LENGTH ? 0 : recordLengthAt(bytes, at);
        if (record === 0 || record > end - at) return this.#keep(bytes, at, end, record);
        this.take(bytes, at, headerLength(bytes[at + 5]!), record);
        at += record;
      }
    }
  }

  /** @returns how many bytes went into the incomplete record */
  #complete(bytes: Uint8Array, at: number, end: number): number {
    let used = 0;
    if (this.#have < HEADER_LENGTH) {
      used = Math.min(HEADER_LENGTH - this.#have, end - at);
      this.#append(bytes, at, used);
      if (this.#have < HEADER_LENGTH) return used;
    }
    const record = recordLengthAt(this.#part, 0);
    if (record === 0) {
      // Not what we write: whoever counted `unfinished` was wrong. Nothing more is told of this connection.
      this.unfinished = Infinity;
      this.#have = 0;
      return end - at;
    }
    const more = Math.min(record - this.#have, end - at - used);
    this.#append(bytes, at + used, more);
    if (this.#have === record) {
      this.take(this.#part, 0, headerLength(this.#part[5]!), record);
      this.#have = 0;
    }
    return used + more;
  }

  #keep(bytes: Uint8Array, at: number, end: number, record: number): void {
    if (this.#part.length < record) this.#part = new Uint8Array(record);
    this.#append(bytes, at, end - at);
  }

  #append(bytes: Uint8Array, at: number, length: number): void {
    const size = this.#have + length;
    if (this.#part.length < size) {
      // A header that is complete now says how long the record is.
      const grown = new Uint8Array(Math.max(size, 2048, 2 * this.#part.length));
      grown.set(this.#part.subarray(0, this.#have));
      this.#part = grown;
    }
    this.#part.set(bytes.subarray(at, at + length), this.#have);
    this.#have = size;
  }
}

const NOTHING = new Uint8Array(0);
