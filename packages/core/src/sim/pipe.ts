import type { Event } from './clock.js';
import type { Socket } from './socket.js';

// Globals are slow in the contexts that tests run in (clock.ts).
const { min } = Math;

/** First retransmission time-out and its ceiling, ms (Linux: TCP_RTO_MIN, TCP_RTO_MAX). */
const RTO_MIN = 200;
const RTO_MAX = 120_000;

/** A piece of the stream on its way. The first one of a dialler carries nothing: it completes the three-way handshake. */
interface Segment {
  readonly bytes: Uint8Array;
  readonly fin: boolean;
}

const NOTHING = new Uint8Array(0);

/**
 * One direction of a TCP connection, from what the sender's socket took to what the receiver's holds.
 *
 * Theory of operation. Bytes are cut into segments and handed to the lane, in order, as far as the receiver has room. A segment that is
 * lost takes all behind it with it; they are sent again after the retransmission time-out, which doubles each time. Bytes leave the sender's buffer when they
 * are acknowledged, one way later. A segment that reaches a machine which knows nothing of the connection brings a reset back.
 */
export class Pipe {
  readonly #from: Socket;
  readonly #to: Socket;
  #unsent: Segment[] = [];
  #flight: Segment[] = [];
  #flightBytes = 0;
  /** counts losses: arrivals of before the last one do not count */
  #era = 0;
  #lastArrival = 0;
  #rto = RTO_MIN;
  #timer: Event | null = null;
  /** lost something, and no acknowledgement since */
  #recovering = false;
  #lostSince = Infinity;
  /** bytes that the sender has to keep: queued, in flight, or not acknowledged yet */
  held = 0;
  finQueued = false;

  constructor(from: Socket, to: Socket) {
    this.#from = from;
    this.#to = to;
  }

  /** Takes bytes, which the caller must not change afterwards. */
  push(bytes: Uint8Array): void {
    this.held += bytes.length;
    this.#unsent.push({ bytes, fin: false });
    this.pump();
  }

  /** The dialler's last word of the three-way handshake. */
  open(): void {
    this.#unsent.unshift({ bytes: NOTHING, fin: false });
    this.pump();
  }

  /** Nothing comes behind what is queued. */
  fin(): void {
    if (this.finQueued) return;
    this.finQueued = true;
    this.#unsent.push({ bytes: NOTHING, fin: true });
    this.pump();
  }

  stop(): void {
    this.#from.clock.cancel(this.#timer);
    this.#timer = null;
    this.#era++;
    this.#unsent = [];
    this.#flight = [];
    this.#flightBytes = 0;
  }

  /** Sends what can be sent. */
  pump(): void {
    if (this.#from.isDead || !this.#from.isConnected) return;
    while (this.#unsent.length > 0 && !(this.#recovering && this.#flight.length > 0)) {
      const room = this.#to.receiveRoom - this.#flightBytes;
      const head = this.#unsent[0]!;
      if (head.bytes.length > 0 && room <= 0) return;
      this.#send(this.#cut(room));
    }
  }

  /** The next segment: several small writes may go together, one large one in pieces. */
  #cut(room: number): Segment {
    const head = this.#unsent.shift()!;
    if (head.bytes.length === 0) return head;
    const size = min(this.#from.laneOut.segmentSize(), room);
    if (head.bytes.length > size) {
      this.#unsent.unshift({ bytes: head.bytes.subarray(size), fin: false });
      return { bytes: head.bytes.subarray(0, size), fin: false };
    }
    return head;
  }

  #send(segment: Segment): void {
    this.#flight.push(segment);
    this.#flightBytes += segment.bytes.length;
    const era = this.#era;
    const lane = this.#from.laneOut;
    this.#lastArrival = lane.carry(
      segment.bytes.length + 40,
      this.#lastArrival,
      () => {
        if (era === this.#era && !this.#from.isDead) this.#arrived(segment);
      },
      () => {
        if (era === this.#era && !this.#from.isDead) this.#lost();
      },
    );
  }

  #arrived(segment: Segment): void {
    const fate = this.#from.fate();
    if (fate === 'vanish') return this.#lost();
    if (fate === 'unknown') return this.#from.resetBy(this.#to);
    this.#flight.shift();
    this.#flightBytes -= segment.bytes.length;
    const bytes = segment.bytes.length > 0 ? this.#from.laneOut.passed(segment.bytes) : segment.bytes;
    this.#acknowledge(segment.bytes.length);
    this.#to.arrived(bytes, segment.fin);
    this.pump();
  }

  #acknowledge(length: number): void {
    this.#to.laneOut.carry(
      40,
      0,
      () => {
        if (this.#from.isDead) return;
        if (this.#to.fate() === 'vanish') return this.#ackLost(length);
        this.#from.clock.cancel(this.#timer);
        this.#timer = null;
        this.#rto = RTO_MIN;
        this.#recovering = false;
        this.#lostSince = Infinity;
        this.held -= length;
        this.#from.acknowledged();
        this.pump();
      },
      () => this.#ackLost(length),
    );
  }

  /** The sender sends again what has arrived already, and is told so. */
  #ackLost(length: number): void {
    if (this.#from.isDead) return;
    this.#lostSince = min(this.#lostSince, this.#from.clock.now);
    if (this.#timedOut()) return this.#from.fail('timeout');
    this.#rto = min(this.#rto * 2, RTO_MAX);
    this.#from.clock.after(this.#rto, () => {
      if (!this.#from.isDead) this.#acknowledge(length);
    });
  }

  #lost(): void {
    this.#era++;
    this.#unsent = [...this.#flight, ...this.#unsent];
    this.#flight = [];
    this.#flightBytes = 0;
    this.#recovering = true;
    this.#lostSince = min(this.#lostSince, this.#from.clock.now);
    if (this.#timedOut()) return this.#from.fail('timeout');
    this.#from.clock.cancel(this.#timer);
    this.#timer = this.#from.clock.after(this.#rto, () => this.pump());
    this.#rto = min(this.#rto * 2, RTO_MAX);
  }

  #timedOut(): boolean {
    return this.#from.clock.now - this.#lostSince >= this.#from.userTimeout;
  }
}
