import type { TcpConnection } from './connection.js';
import { Message } from './message.js';

/** Messages that may be held at once, and their bytes. */
const HELD_MAX = 4096;
const BYTES_MAX = 4 << 20;
/** How long a message waits for its handshake to turn up, s of the capture: longer than captures reorder. */
const PATIENCE = 2;

/** Transport messages whose handshake has not been seen. Each has a copy of its bytes in `raw`. */
export class HeldMessages {
  #list: Message[] = [];
  #bytes = 0;
  #dueAt = Infinity;

  get isEmpty(): boolean {
    return this.#list.length === 0;
  }

  /** Whether the oldest has waited long enough. */
  isDue(now: number): boolean {
    return now >= this.#dueAt;
  }

  /** Copies a message and the bytes at `offset`; returns the oldest one if it has to give way. */
  add(message: Message, bytes: Uint8Array, offset: number): Message | null {
    const copy = Object.assign(new Message(), message);
    copy.raw = bytes.slice(offset, offset + message.length);
    copy.rawOffset = 0;
    this.#list.push(copy);
    this.#bytes += copy.length;
    this.#dueAt = Math.min(this.#dueAt, copy.time + PATIENCE);
    if (this.#list.length <= HELD_MAX && this.#bytes <= BYTES_MAX) return null;
    const oldest = this.#list.shift()!;
    this.#bytes -= oldest.length;
    return oldest;
  }

  /** Takes out those with that receiver index. */
  take(index: number): Message[] {
    return this.#takeIf((message) => message.receiver === index);
  }

  /** Takes out those that came over this connection. */
  takeOf(connection: TcpConnection): Message[] {
    return this.#takeIf((message) => message.connection === connection);
  }

  /** Takes out those that have waited long enough. */
  takeOlder(now: number): Message[] {
    const out = this.#takeIf((message) => now - message.time >= PATIENCE);
    this.#dueAt = this.#list.reduce((due, message) => Math.min(due, message.time + PATIENCE), Infinity);
    return out;
  }

  #takeIf(wanted: (message: Message) => boolean): Message[] {
    if (this.#list.length === 0) return NONE;
    const out: Message[] = [];
    const rest: Message[] = [];
    for (const message of this.#list) (wanted(message) ? out : rest).push(message);
    if (out.length > 0) {
      this.#list = rest;
      for (const message of out) this.#bytes -= message.length;
    }
    return out;
  }
}

const NONE: Message[] = [];
