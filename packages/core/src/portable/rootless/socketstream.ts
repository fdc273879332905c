import net from 'node:net';
import type { ConnectFailure, NativeStream } from '../../userspace/native.js';
import type { TcpFlow } from '../../userspace/tcp/flow.js';
import { failureOf } from './errors.js';
import type { Turns } from './turns.js';

/** Who is told how the inner connection went. */
export interface Teller {
  established(): void;
  failed(reason: ConnectFailure): void;
}

/** A TCP socket of this host as the native side of a flow. */
export class SocketStream implements NativeStream {
  #flow: TcpFlow | null = null;
  #over = false;

  constructor(
    private readonly turns: Turns,
    private readonly socket: net.Socket,
    /** for those who have to tell somebody that the inner connection came about, or did not, and who close the socket then */
    private readonly teller: Teller | null = null,
  ) {
    socket.setNoDelay(true);
    socket.on('error', (error: NodeJS.ErrnoException) => this.#failed(error));
    // A socket whose two directions have both ended closes by itself, before the inner side knows of it.
    socket.on('close', () => {
      if (!socket.readableEnded || !socket.writableFinished) this.#failed(null);
    });
  }

  /** Makes it the native side of `flow`. */
  attach(flow: TcpFlow): void {
    this.#flow = flow;
    const { socket, turns } = this;
    const { tcp } = turns.stack;
    if (socket.connecting) socket.once('connect', () => turns.run((now) => tcp.connected(now, flow)));
    socket.on('data', (bytes: Buffer) => turns.run((now) => tcp.data(now, flow, bytes)));
    socket.on('end', () => turns.run((now) => tcp.eof(now, flow)));
    if (flow.nativePaused) socket.pause();
  }

  write(bytes: Uint8Array): void {
    const { length } = bytes;
    this.socket.write(bytes, (error) => {
      if (!error) this.turns.run((now) => this.turns.stack.tcp.taken(now, this.#flow!, length));
    });
  }

  end(): void {
    this.socket.end();
  }

  reset(): void {
    this.#over = true;
    if (this.socket.connecting) this.socket.destroy();
    else this.socket.resetAndDestroy();
  }

  close(): void {
    this.#over = true;
    this.socket.destroySoon();
  }

  pause(): void {
    this.socket.pause();
  }

  resume(): void {
    this.socket.resume();
  }

  established(): void {
    this.teller?.established();
  }

  failed(reason: ConnectFailure): void {
    this.#over = true;
    if (this.teller === null) this.socket.resetAndDestroy();
    else this.teller.failed(reason);
  }

  #failed(error: NodeJS.ErrnoException | null): void {
    const flow = this.#flow;
    if (this.#over || flow === null) return;
    this.#over = true;
    this.turns.run((now) => {
      this.turns.stack.tcp.refused(now, flow, error === null ? 'refused' : failureOf(error));
      this.turns.stack.tcp.broken(flow);
    });
  }
}

/** Begins a connection to a native address for a flow. */
export function openSocket(turns: Turns, flow: TcpFlow, host: string, port: number): SocketStream {
  const socket = net.connect({ host, port, allowHalfOpen: true, noDelay: true });
  const stream = new SocketStream(turns, socket);
  stream.attach(flow);
  return stream;
}
