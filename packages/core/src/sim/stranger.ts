import type { Endpoint } from '../address/endpoint.js';
import type { CloseReason } from '../device/driver.js';
import type { Machine } from './machine.js';
import type { Socket, SocketOwner } from './socket.js';
import { Violation } from './violation.js';

/** Somebody without keys who connects and says things. Whatever it says, it must not get a single byte back. */
export class Stranger implements SocketOwner {
  readonly socket: Socket;
  /** how it ended; null while it has not */
  ended: CloseReason | null = null;
  endedAt = Infinity;
  #isConnected = false;
  readonly #queue: Uint8Array[] = [];

  constructor(
    private readonly machine: Machine,
    to: Endpoint,
  ) {
    this.socket = machine.connect(to, this);
  }

  say(bytes: Uint8Array): void {
    this.#queue.push(bytes.slice());
    this.#flush();
  }

  leave(abort: boolean): void {
    this.socket.close(abort);
  }

  connected(): void {
    this.#isConnected = true;
    this.#flush();
  }

  readable(socket: Socket): void {
    if (socket.unread > 0) throw new Violation('silence', `a stranger was sent ${socket.unread} bytes`);
    this.#over('eof');
    socket.close(false);
  }

  writable(): void {
    this.#flush();
  }

  failed(_socket: Socket, reason: CloseReason): void {
    this.#over(reason);
  }

  #over(reason: CloseReason): void {
    this.ended = reason;
    this.endedAt = this.machine.network.clock.now;
  }

  #flush(): void {
    if (!this.#isConnected || this.ended !== null) return;
    for (;;) {
      const head = this.#queue[0];
      if (head === undefined) return;
      const n = this.socket.write(head, 0, head.length);
      if (n < head.length) {
        this.#queue[0] = head.subarray(n);
        return;
      }
      this.#queue.shift();
    }
  }
}
