import { Duplex } from 'node:stream';
import { formatIp } from '../../address/ip.js';
import type { ConnectFailure, NativeStream } from '../../userspace/native.js';
import type { TcpFlow } from '../../userspace/tcp/flow.js';
import { connectError } from './errors.js';
import type { Turns } from './turns.js';

type Callback = (error?: Error | null) => void;

/**
 * A connection through the tunnel as a Node stream, with what programs expect of a net.Socket, so that http, tls and others take it for
 * one. It emits 'connect' when it is up, and ends with an error like a socket's when it cannot be, or breaks.
 */
export class TunnelSocket extends Duplex {
  /** whether the other end has not answered yet */
  connecting = true;
  localAddress: string | undefined;
  localPort: number | undefined;
  remoteAddress: string | undefined;
  remotePort: number | undefined;
  remoteFamily: 'IPv4' | 'IPv6' | undefined;
  /** what the stack calls; its news reaches the program after the turn */
  readonly native: NativeStream = {
    write: (bytes) => this.#received(bytes),
    end: () => this.#innerEnded(),
    reset: () => this.#broke(Object.assign(new Error('read ECONNRESET'), { code: 'ECONNRESET', syscall: 'read' })),
    close: () => (this.#flow = null),
    pause: () => (this.#held = true),
    resume: () => this.#resumed(),
    established: () => this.#established(),
    failed: (reason) => this.refuse(reason),
  };

  #flow: TcpFlow | null = null;
  /** received, not yet asked for by the program */
  readonly #unread: Buffer[] = [];
  #inputEnded = false;
  #wanted = false;
  #pumping = false;
  /** the stack wants no data for now */
  #held = true;
  #blocked: (() => void) | null = null;
  #idleTimer: NodeJS.Timeout | null = null;
  #idleTime = 0;

  constructor(
    private readonly turns: Turns,
    /** what was asked for, for people */
    private readonly asked: { readonly host: string; readonly port: number },
    private readonly accepted: (socket: TunnelSocket) => void = () => undefined,
  ) {
    super({ allowHalfOpen: true });
  }

  /** Makes it the native side of `flow`. */
  attach(flow: TcpFlow): void {
    this.#flow = flow;
    this.#held = flow.nativePaused;
    this.localAddress = formatIp(flow.local);
    this.localPort = flow.localPort;
    this.remoteAddress = formatIp(flow.remote);
    this.remotePort = flow.remotePort;
    this.remoteFamily = flow.remote.length === 4 ? 'IPv4' : 'IPv6';
  }

  /** The connection will not come about. */
  refuse(reason: ConnectFailure): void {
    this.#broke(connectError(reason, this.asked.host, this.asked.port));
  }

  // ---- from the stack

  #established(): void {
    this.connecting = false;
    process.nextTick(() => {
      if (this.destroyed) return;
      this.accepted(this);
      this.emit('connect');
      this.emit('ready');
    });
  }

  #received(bytes: Uint8Array): void {
    if (this.destroyed) return;
    // Copied, because programs keep what they read and the stack uses its memory again.
    this.#unread.push(Buffer.from(bytes));
    this.#schedulePump();
  }

  #innerEnded(): void {
    this.#inputEnded = true;
    this.#schedulePump();
  }

  #resumed(): void {
    this.#held = false;
    const proceed = this.#blocked;
    this.#blocked = null;
    if (proceed !== null) process.nextTick(proceed);
  }

  #broke(error: Error): void {
    this.#flow = null;
    process.nextTick(() => this.destroy(this.turns.isStopping ? undefined : error));
  }

  #schedulePump(): void {
    if (this.#pumping) return;
    this.#pumping = true;
    process.nextTick(() => {
      this.#pumping = false;
      this.#pump();
    });
  }

  /** Gives the program what it asked for; only then does it count as taken. */
  #pump(): void {
    let taken = 0;
    while (this.#wanted && this.#unread.length > 0) {
      const chunk = this.#unread.shift()!;
      taken += chunk.length;
      this.#wanted = this.push(chunk);
    }
    if (this.#inputEnded && this.#unread.length === 0 && this.#wanted) {
      this.#wanted = false;
      this.push(null);
    }
    const flow = this.#flow;
    if (taken === 0 || flow === null) return;
    this.#touchIdle();
    this.turns.run((now) => this.turns.stack.tcp.taken(now, flow, taken));
  }

  // ---- from the program

  override _read(): void {
    this.#wanted = true;
    if (this.#unread.length > 0 || this.#inputEnded) this.#schedulePump();
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: Callback): void {
    const send = () => {
      const flow = this.#flow;
      if (flow === null) return done(this.destroyed ? null : brokenPipe());
      this.#touchIdle();
      // Copied, because it is kept until the other end has acknowledged it and the program may use its memory again.
      const copy = Buffer.from(chunk);
      this.turns.run((now) => this.turns.stack.tcp.data(now, flow, copy));
      if (this.#held) this.#blocked = () => done();
      else done();
    };
    if (this.connecting || this.#held) this.#blocked = send;
    else send();
  }

  override _final(done: Callback): void {
    const end = () => {
      const flow = this.#flow;
      if (flow !== null) this.turns.run((now) => this.turns.stack.tcp.eof(now, flow));
      done();
    };
    if (this.connecting) this.once('connect', end);
    else end();
  }

  override _destroy(error: Error | null, done: Callback): void {
    if (this.#idleTimer !== null) clearTimeout(this.#idleTimer);
    this.#idleTimer = null;
    const flow = this.#flow;
    const isUnread = this.#unread.length > 0 || this.readableLength > 0;
    this.#flow = null;
    this.#unread.length = 0;
    if (flow !== null) {
      const { tcp } = this.turns.stack;
      this.turns.run((now) => (error === null && !isUnread ? tcp.orphaned(now, flow) : tcp.broken(flow)));
    }
    done(error);
  }

  // ---- what programs expect of a socket

  /** As net.Socket's: 'timeout' is emitted after so many ms without data; nothing is closed. */
  setTimeout(timeout: number, callback?: () => void): this {
    this.#idleTime = timeout;
    if (callback !== undefined) {
      if (timeout === 0) this.removeListener('timeout', callback);
      else this.once('timeout', callback);
    }
    this.#touchIdle();
    return this;
  }

  get timeout(): number {
    return this.#idleTime;
  }

  /** There is never a delay to switch off. */
  setNoDelay(): this {
    return this;
  }

  /** Idle flows are kept anyway. */
  setKeepAlive(): this {
    return this;
  }

  /** The tunnel keeps the program running, not its connections. */
  ref(): this {
    return this;
  }

  unref(): this {
    return this;
  }

  /** Breaks the connection with a reset. */
  resetAndDestroy(): this {
    const flow = this.#flow;
    this.#flow = null;
    if (flow !== null) this.turns.run(() => this.turns.stack.tcp.broken(flow));
    return this.destroy();
  }

  address(): { address: string; family: string; port: number } | Record<string, never> {
    if (this.localAddress === undefined) return {};
    return { address: this.localAddress, family: this.remoteFamily!, port: this.localPort! };
  }

  #touchIdle(): void {
    if (this.#idleTimer !== null) clearTimeout(this.#idleTimer);
    this.#idleTimer = null;
    if (this.#idleTime > 0) this.#idleTimer = setTimeout(() => this.emit('timeout'), this.#idleTime);
  }
}

function brokenPipe(): Error {
  return Object.assign(new Error('write EPIPE'), { code: 'EPIPE', syscall: 'write' });
}
