import type { Connection } from '../stream/connection.js';

/** Longest time that data waits because of a doubt, ms. */
export const DOUBT_MAX = 1_000;
/** Initiations that were under way when keys came into being arrive until then, ms. */
const CROSSING_MAX = 1_000;
/** Of the time given to an answer: what the other end may need beside two round trips, ms. */
const DOUBT_SLACK = 100;

/**
 * Doubt whether the peer still has the keys that we send under.
 *
 * A peer that was restarted has lost them, and whatever is sealed under them is lost with them. Two things give reason for doubt: a connection whose first
 * authentic message is an initiation, because whoever has keys greets with a keepalive under them (KERNEL.md row 1); and one that we dialled because
 * the other end had closed the one before. In either case a handshake is under way that ends the doubt within a round trip, and
 * data waits for it in the staging queue. It does not wait for long: then it goes out under the keys that there are, as it would have without a doubt.
 */
export class KeyDoubt {
  /** data waits until then, ms; -Infinity when there is no doubt */
  until = -Infinity;
  #connection: Connection | null = null;

  /** When it ends by itself, ms; Infinity when there is none. */
  get endsAt(): number {
    return this.until === -Infinity ? Infinity : this.until;
  }

  /**
   * The peer's first word on a connection of its own was an initiation.
   * @param birth of the present keys: while they are young it crossed with the handshake that they come from, and says nothing about them
   */
  initiated(now: number, connection: Connection, birth: number): void {
    if (now > birth + CROSSING_MAX) this.#raise(now + DOUBT_MAX, connection);
  }

  /** A connection is up that we dialled after the other end had closed the last one. */
  redialled(now: number, connection: Connection): void {
    const roundTrip = now - connection.createdAt;
    this.#raise(Math.min(now + 2 * roundTrip + DOUBT_SLACK, now + DOUBT_MAX), connection);
  }

  /** A message under the present keys came: on the connection in question it was sent after what gave reason for doubt. */
  heard(connection: Connection | null): void {
    if (connection !== null && connection === this.#connection) this.end();
  }

  end(): void {
    this.until = -Infinity;
    this.#connection = null;
  }

  #raise(until: number, connection: Connection): void {
    this.until = until;
    this.#connection = connection;
  }
}
