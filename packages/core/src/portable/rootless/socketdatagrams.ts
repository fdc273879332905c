import dgram from 'node:dgram';
import { parseIp } from '../../address/ip.js';
import type { NativeDatagrams } from '../../userspace/native.js';
import type { UdpFlow } from '../../userspace/udp/flow.js';
import { failureOf } from './errors.js';
import type { Turns } from './turns.js';

/** Datagrams kept while the socket is being connected. */
const WAITING_MAX = 16;

/** A UDP socket of this host, connected to one other end, as the native side of a flow. */
class SocketDatagrams implements NativeDatagrams {
  #waiting: Buffer[] | null = [];
  #closed = false;

  constructor(
    private readonly turns: Turns,
    private readonly flow: UdpFlow,
    private readonly socket: dgram.Socket,
    host: string,
    port: number,
  ) {
    const { udp } = turns.stack;
    socket.on('message', (bytes) => turns.run((now) => udp.datagram(now, flow, bytes)));
    socket.on('error', (error) => this.#failed(error));
    socket.connect(port, host, (...failure: unknown[]) => {
      if (failure[0] instanceof Error) this.#failed(failure[0]);
      else this.#connected();
    });
  }

  send(bytes: Uint8Array): void {
    const copy = Buffer.from(bytes);
    if (this.#waiting === null) this.#send(copy);
    else if (this.#waiting.length < WAITING_MAX) this.#waiting.push(copy);
  }

  close(): void {
    this.#closed = true;
    this.socket.close();
  }

  #connected(): void {
    const waiting = this.#waiting ?? [];
    this.#waiting = null;
    if (!this.#closed) for (const bytes of waiting) this.#send(bytes);
  }

  #send(bytes: Buffer): void {
    this.socket.send(bytes, (error) => {
      if (error !== null && error !== undefined) this.#failed(error);
    });
  }

  /** The other end refused, or cannot be reached; the next datagram may fare better. */
  #failed(error: NodeJS.ErrnoException): void {
    if (!this.#closed) this.turns.run((now) => this.turns.stack.udp.failed(now, this.flow, failureOf(error)));
  }
}

/** Opens a socket for a flow. @returns null when there is none to be had */
export function openDatagrams(turns: Turns, flow: UdpFlow, host: string, port: number): NativeDatagrams | null {
  const family = parseIp(host)?.length === 16 ? 'udp6' : 'udp4';
  return new SocketDatagrams(turns, flow, dgram.createSocket(family), host, port);
}
