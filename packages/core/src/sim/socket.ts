import type { Endpoint } from '../address/endpoint.js';
import type { CloseReason } from '../device/driver.js';
import type { Clock } from './clock.js';
import { concat, type Lane } from './lane.js';
import type { Machine } from './machine.js';
import { Pipe } from './pipe.js';

// Globals are slow in the contexts that tests run in (clock.ts).
const { max, min } = Math;

/** What a socket tells its owner; never from inside a call of the owner's. */
export interface SocketOwner {
  connected(socket: Socket): void;
  /** bytes or the end of them can be read */
  readable(socket: Socket): void;
  /** there is room again after a short write */
  writable(socket: Socket): void;
  /** over, other than by the other end's FIN */
  failed(socket: Socket, reason: CloseReason): void;
}

export interface SocketOptions {
  /** bytes that it takes ahead of what the other end acknowledged */
  readonly sendBuffer: number;
  /** bytes that it holds for its owner to read */
  readonly receiveBuffer: number;
  /** ms that bytes may stay unacknowledged (TCP_USER_TIMEOUT) */
  readonly userTimeout: number;
}

export const SOCKET_OPTIONS: SocketOptions = { sendBuffer: 256 * 1024, receiveBuffer: 256 * 1024, userTimeout: 10_000 };

/** One end of a TCP connection. */
export class Socket {
  owner: SocketOwner | null;
  isConnected = false;
  /** the machine has forgotten it: whatever still comes in for it is answered with a reset */
  isDead = false;
  other!: Socket;
  /** which of its machine's address translations it goes through */
  readonly translation: number;
  readonly userTimeout: number;
  #out: Pipe | null = null;
  #received: Uint8Array[] = [];
  #receivedBytes = 0;
  #finReceived = false;
  #wantsSpace = false;

  constructor(
    readonly machine: Machine,
    readonly local: Endpoint,
    /** as this end sees it */
    readonly remote: Endpoint,
    owner: SocketOwner | null,
    readonly dialled: boolean,
  ) {
    this.owner = owner;
    this.translation = machine.translation;
    this.userTimeout = machine.socketOptions.userTimeout;
    machine.sockets.add(this);
  }

  get clock(): Clock {
    return this.machine.network.clock;
  }

  get laneOut(): Lane {
    return this.machine.network.lane(this.machine, this.other.machine);
  }

  get receiveRoom(): number {
    return this.machine.socketOptions.receiveBuffer - this.#receivedBytes;
  }

  /** Bytes that its owner has not read. */
  get unread(): number {
    return this.#receivedBytes;
  }

  /** All was read, and the other end will send no more. */
  get isAtEnd(): boolean {
    return this.#finReceived && this.#receivedBytes === 0;
  }

  /** Ties the two ends together. */
  pair(other: Socket): void {
    this.other = other;
    this.#out = new Pipe(this, other);
  }

  established(): void {
    this.isConnected = true;
    if (this.dialled) this.#out!.open();
    else this.#out!.pump();
  }

  // ---- the owner's calls

  /** @returns how many bytes it took */
  write(bytes: Uint8Array, offset: number, length: number): number {
    const out = this.#out!;
    const taken = max(0, min(length, this.machine.socketOptions.sendBuffer - out.held));
    if (taken < length) this.#wantsSpace = true;
    if (taken > 0) out.push(bytes.slice(offset, offset + taken));
    return taken;
  }

  /** @returns how many bytes it laid at `offset`, at most `length` */
  read(into: Uint8Array, offset: number, length: number): number {
    let done = 0;
    while (done < length && this.#received.length > 0) {
      const head = this.#received[0]!;
      const n = min(head.length, length - done);
      into.set(head.subarray(0, n), offset + done);
      done += n;
      if (n === head.length) this.#received.shift();
      else this.#received[0] = head.subarray(n);
    }
    this.#receivedBytes -= done;
    // The window opens: the other end learns of it one way later.
    if (done > 0) this.clock.after(this.laneOut.options.latency, () => this.other.pump());
    return done;
  }

  shutdown(): void {
    this.#out?.fin();
  }

  /** As close(2) does it: FIN behind what is buffered, or a reset when `abort` or when something was left unread. */
  close(abort: boolean): void {
    this.owner = null;
    if (this.isDead) return;
    if (!this.isConnected) return this.die();
    if (abort || this.#receivedBytes > 0) {
      this.die();
      this.#sendReset();
      return;
    }
    this.#out!.fin();
    if (this.#finReceived && this.#out!.held === 0) this.die();
  }

  // ---- the network's calls

  pump(): void {
    this.#out?.pump();
  }

  /** What becomes of a segment that it sends, apart from what the lane does. */
  fate(): 'arrives' | 'vanish' | 'unknown' {
    return this.machine.network.fate(this);
  }

  arrived(bytes: Uint8Array, fin: boolean): void {
    if (!this.isConnected) {
      this.isConnected = true;
      this.machine.accept(this);
      this.pump();
    }
    if (this.isDead) return;
    if (this.owner === null && bytes.length > 0) {
      // Closed by its owner, and there is more.
      this.die();
      this.#sendReset();
      return;
    }
    if (bytes.length > 0) {
      this.#received.push(bytes);
      this.#receivedBytes += bytes.length;
    }
    if (fin) this.#finReceived = true;
    if (bytes.length > 0 || fin) this.owner?.readable(this);
    if (fin && this.owner === null && this.#out!.held === 0) this.die();
  }

  acknowledged(): void {
    if (!this.#wantsSpace) return;
    this.#wantsSpace = false;
    this.owner?.writable(this);
  }

  /** What it sent was answered with a reset. */
  resetBy(other: Socket): void {
    this.machine.network.lane(other.machine, this.machine).carry(
      40,
      0,
      () => this.fail(this.isConnected ? 'reset' : 'refused'),
      () => undefined,
    );
  }

  fail(reason: CloseReason): void {
    if (this.isDead) return;
    this.die();
    const { owner } = this;
    this.owner = null;
    owner?.failed(this, reason);
  }

  /** Forgotten without a word. */
  die(): void {
    this.isDead = true;
    this.#out?.stop();
    this.machine.sockets.delete(this);
  }

  /** All that was received and not read, for looking at. */
  peekUnread(): Uint8Array {
    return concat(...this.#received);
  }

  #sendReset(): void {
    const { other } = this;
    this.laneOut.carry(
      40,
      0,
      () => {
        // Only what would have reached the other end can reset it.
        if (!other.isDead && this.machine.network.routed(this) === 'arrives') other.fail('reset');
      },
      () => undefined,
    );
  }
}
