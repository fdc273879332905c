import { concat } from './lane.js';
import { Violation } from './violation.js';

/** What was seen on the wire of one host: every data message that it ever put into a connection, by index and counter. */
export type SentMessages = Set<number>;

const HEADER = 8;
const DATA = 4;
const NOTHING = new Uint8Array(0);
const COUNTERS = 2 ** 21;

/**
 * Reads along what a host writes into one connection, with a parser of its own, and holds it to two rules: the stream consists of whole
 * records, one right behind the other; and no data message is ever written twice, on whatever connection, not even its beginning.
 */
export class Tap {
  #pending: Uint8Array = NOTHING;
  records = 0;
  bytes = 0;

  constructor(
    private readonly name: string,
    private readonly sent: SentMessages,
  ) {}

  write(bytes: Uint8Array): void {
    this.bytes += bytes.length;
    const all = this.#pending.length === 0 ? bytes : concat(this.#pending, bytes);
    let at = 0;
    while (all.length - at >= HEADER) {
      const length = ((all[at]! << 24) | (all[at + 1]! << 16) | (all[at + 2]! << 8) | all[at + 3]!) >>> 0;
      const flags = all[at + 5]!;
      if (length < HEADER + 32 || length > 65_543 || all[at + 4] !== 0 || flags > 1) {
        throw new Violation('whole records', `${this.name} wrote no record header where one is due, at ${this.bytes}`);
      }
      if (all.length - at < length) break;
      this.#record(all.subarray(at + HEADER + (flags === 1 ? 4 : 0), at + length));
      at += length;
    }
    this.#pending = at === all.length ? NOTHING : all.slice(at);
  }

  /** The connection is over; a record may be incomplete, but it counts as sent. */
  end(): void {
    const flags = this.#pending[5];
    if (flags !== undefined) this.#record(this.#pending.subarray(HEADER + (flags === 1 ? 4 : 0)));
    this.#pending = NOTHING;
  }

  #record(message: Uint8Array): void {
    this.records++;
    if (message[0] !== DATA || message.length < 16) return;
    // Exact as long as nobody sends 2^21 messages under one key, which no run does.
    const key = u32(message, 4) * COUNTERS + u32(message, 8);
    if (this.sent.has(key)) {
      throw new Violation('no record sent twice', `${this.name} wrote a data message that it had written before`);
    }
    this.sent.add(key);
  }
}

function u32(bytes: Uint8Array, at: number): number {
  return (bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)) >>> 0;
}
