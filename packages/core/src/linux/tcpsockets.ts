import type { Endpoint } from '../address/endpoint.js';
import type { CloseReason } from '../device/driver.js';
import type { Device } from '../device/device.js';
import type { Connection } from '../stream/connection.js';
import { RECORD_MAX } from '../stream/header.js';
import { type Epoll, EPOLLERR, EPOLLHUP, EPOLLIN, EPOLLOUT } from './epoll.js';
import { EAGAIN, EMFILE, ENFILE, ENOBUFS, ENOMEM } from './errno.js';
import { nativeSlab } from './nativeslab.js';
import { pendingError, resetOnClose, setMark, tcpInfo } from './sockopts.js';
import { acceptedFrom, acceptTcp, closeReasonOf, connectTcp, localEndpoint, shutdownWrite } from './sockets.js';
import { close, recv, send } from './syscalls.js';

/** Most bytes taken from one connection before the others have their turn. */
const READ_SIZE = 256 * 1024;
/** Most connections accepted before everything else has its turn. */
const ACCEPTS = 32;

/**
 * A connection that holds so much, bytes, while its socket takes nothing, is waited for before more is read from the TUN. Well below the
 * bound of its queue (outbox.ts), so that the packet that is under way then, of up to 64 KiB, still fits.
 */
const CONGESTED_BYTES = 160 * 1024;
/**
 * But not for longer than this after it took something, ms: on a fast path a socket takes more within a fraction of it, and where it does not, other
 * peers must not wait; the queue's own bounds then decide what is dropped.
 */
const PATIENCE = 20;
/** The same where there is no other peer that would have to wait: the age at which the queue drops data anyway. */
const PATIENCE_ALONE = 100;
/** How often a connection that is full is asked how long its path is, ms. */
const PATH_INTERVAL = 1000;
/** What the kernel says before the first segment was acknowledged. */
const NOT_MEASURED = 0xffff_ffff;

/** One connection's socket. */
export class TcpSocket {
  /** what epoll watches for */
  interest = 0;
  dialling = false;
  /** the route watch found no way to the other end */
  pathLost = false;
  /** when it last took bytes, ms */
  progressAt = 0;
  /** when to ask for the path's length again, ms */
  measuredAgainAt = 0;

  constructor(
    readonly fd: number,
    readonly token: number,
    readonly connection: Connection,
  ) {}
}

/**
 * The TCP connections of a device: dialling, accepting, reading, writing.
 *
 * Theory of operation. Sockets are level-triggered. Reading goes into one slab that all share, behind what the connection's record
 * reader kept; the device opens the records from there at once, so the slab is free again when `readable` returns. Writing happens
 * at the end of a batch (`writeAll`) for all connections that asked; where the socket takes less than offered, the rest stays in the
 * connection's own queue and epoll is asked for write space. Input is watched only as long as the connection wants it.
 */
export class TcpSockets {
  readonly #sockets = new Map<number, TcpSocket>();
  readonly #slab = nativeSlab(RECORD_MAX + READ_SIZE);
  /** connections with something to write, and how many of the array's entries are in use */
  readonly #flushes: Connection[] = [];
  /** dials that failed before they began: told in the next turn (see Driver) */
  readonly #failed: { connection: Connection; reason: CloseReason }[] = [];
  #mark = 0;
  /** the socket that is waited for, and until when */
  #congested: TcpSocket | null = null;

  /** @param firstToken tokens from here on are this object's */
  constructor(
    private readonly epoll: Epoll,
    private readonly device: Device,
    private nextToken: number,
  ) {}

  get size(): number {
    return this.#sockets.size;
  }

  /** Whether `settle` has something to tell. */
  get hasNews(): boolean {
    return this.#failed.length > 0;
  }

  /** Whether someone waits for `writeAll`. */
  get wantsWriting(): boolean {
    return this.#flushes.length > 0;
  }

  /** Until when nothing more should be read from the TUN, ms; 0 when there is no reason to wait. */
  waitsUntil(now: number): number {
    const socket = this.#congested;
    if (socket === null) return 0;
    if (this.#isCongested(now, socket)) return socket.progressAt + this.#patience;
    this.#congested = null;
    return 0;
  }

  // ---- what the core asks

  dial(connection: Connection, remote: Endpoint): void {
    const fd = connectTcp(remote, this.#mark);
    if (fd < 0) {
      this.#failed.push({ connection, reason: closeReasonOf(fd) });
      return;
    }
    const socket = this.#watch(fd, connection, EPOLLOUT);
    if (socket !== null) socket.dialling = true;
  }

  flush(connection: Connection): void {
    this.#flushes.push(connection);
  }

  shutdown(connection: Connection): void {
    const socket = connection.handle as TcpSocket | null;
    if (socket !== null) shutdownWrite(socket.fd);
  }

  close(connection: Connection, abort: boolean): void {
    const socket = connection.handle as TcpSocket | null;
    const failed = this.#failed.findIndex((failure) => failure.connection === connection);
    if (failed >= 0) this.#failed.splice(failed, 1);
    if (socket === null) return;
    if (abort) resetOnClose(socket.fd);
    this.#forget(socket);
  }

  /** The firewall mark of all connections, from now on and those that are there. */
  setMark(mark: number): void {
    if (mark === this.#mark) return;
    this.#mark = mark;
    for (const { fd } of this.#sockets.values()) setMark(fd, mark);
  }

  // ---- what happened

  /**
   * Takes what waits at a listener.
   * @returns false when the system is short of something, so that asking again at once would be in vain
   */
  accept(now: number, listener: number): boolean {
    for (let i = 0; i < ACCEPTS; i++) {
      const fd = acceptTcp(listener);
      if (fd < 0) {
        if (fd === -EAGAIN) return true;
        if (fd === -EMFILE || fd === -ENFILE || fd === -ENOBUFS || fd === -ENOMEM) return false;
        // That connection was gone before it was taken.
        continue;
      }
      const local = localEndpoint(fd);
      const connection =
        local === null || acceptedFrom === null ? null : this.device.accepted(now, local, acceptedFrom);
      if (connection === null) close(fd);
      else this.#watch(fd, connection, EPOLLIN);
    }
    return true;
  }

  /** Acts on an event; one for a socket that is closed already is ignored. */
  event(now: number, token: number, events: number): void {
    const socket = this.#sockets.get(token);
    if (socket === undefined) return;
    if (socket.dialling) {
      this.#dialled(now, socket);
      return;
    }
    if ((events & EPOLLOUT) !== 0) this.#write(now, socket);
    if (socket.connection.handle !== socket) return;
    if ((events & (EPOLLIN | EPOLLERR | EPOLLHUP)) === 0) return;
    if (socket.connection.wantsInput) this.#read(now, socket);
    else if ((events & (EPOLLERR | EPOLLHUP)) !== 0) this.#over(now, socket, -pendingError(socket.fd));
  }

  /** Tells of what could not be told at once. */
  settle(now: number): void {
    for (let failure = this.#failed.shift(); failure !== undefined; failure = this.#failed.shift()) {
      this.device.closed(now, failure.connection, failure.reason);
    }
  }

  /** Writes for every connection that asked, until its queue is empty or its socket full. */
  writeAll(now: number): void {
    // Writing may end a connection, which may make others ask: they are appended and served in the same pass.
    for (let i = 0; i < this.#flushes.length; i++) {
      const connection = this.#flushes[i]!;
      connection.flushRequested = false;
      const socket = connection.handle as TcpSocket | null;
      if (socket === null || socket.dialling) continue;
      // Where epoll is being asked for write space already, trying before it comes is in vain.
      if ((socket.interest & EPOLLOUT) === 0) this.#write(now, socket);
      if (this.#isCongested(now, socket)) this.#congested = socket;
    }
    this.#flushes.length = 0;
  }

  /** The descriptor of a connection, or -1. */
  descriptor(connection: Connection): number {
    return (connection.handle as TcpSocket | null)?.fd ?? -1;
  }

  /** All sockets, for the route watch and for tear-down. */
  all(): IterableIterator<TcpSocket> {
    return this.#sockets.values();
  }

  /** Closes what is still open; the device has been closed before. */
  closeAll(): void {
    for (const socket of this.#sockets.values()) this.#forget(socket);
    this.#flushes.length = 0;
    this.#failed.length = 0;
  }

  #watch(fd: number, connection: Connection, interest: number): TcpSocket | null {
    const socket = new TcpSocket(fd, this.nextToken++, connection);
    if (this.epoll.add(fd, interest, socket.token) < 0) {
      close(fd);
      this.#failed.push({ connection, reason: 'error' });
      return null;
    }
    socket.interest = interest;
    connection.handle = socket;
    this.#sockets.set(socket.token, socket);
    return socket;
  }

  /** Closes the descriptor, which takes it out of epoll too. */
  #forget(socket: TcpSocket): void {
    this.#sockets.delete(socket.token);
    socket.connection.handle = null;
    close(socket.fd);
  }

  #interest(socket: TcpSocket, interest: number): void {
    if (socket.interest === interest) return;
    socket.interest = interest;
    this.epoll.modify(socket.fd, interest, socket.token);
  }

  #dialled(now: number, socket: TcpSocket): void {
    const error = pendingError(socket.fd);
    const local = error === 0 ? localEndpoint(socket.fd) : null;
    if (local === null) {
      const reason = closeReasonOf(error);
      this.#forget(socket);
      // A reset in answer to the SYN is a refusal.
      this.device.closed(now, socket.connection, reason === 'reset' ? 'refused' : reason);
      return;
    }
    socket.dialling = false;
    this.#interest(socket, EPOLLIN);
    this.device.dialled(now, socket.connection, local);
  }

  #read(now: number, socket: TcpSocket): void {
    const { connection } = socket;
    const slab = this.#slab;
    const kept = connection.reader.restore(slab.bytes, 0);
    const n = recv(socket.fd, slab, kept, READ_SIZE);
    if (n <= 0) {
      if (n !== -EAGAIN) this.#over(now, socket, n);
      return;
    }
    this.device.readable(now, connection, slab, 0, kept + n);
    if (connection.handle === socket && !connection.wantsInput) this.#interest(socket, socket.interest & ~EPOLLIN);
  }

  #write(now: number, socket: TcpSocket): void {
    const { connection } = socket;
    const { outbox } = connection;
    while (outbox.peek(now)) {
      const offered = outbox.runLength;
      const n = send(socket.fd, outbox.slab, outbox.runOffset, offered);
      if (n < 0) {
        if (n !== -EAGAIN) {
          this.#over(now, socket, n);
          return;
        }
        // The queue has to know that the socket pushed back: from now on control overtakes data.
        this.device.written(now, connection, 0);
        this.#interest(socket, socket.interest | EPOLLOUT);
        if (now >= socket.measuredAgainAt) this.#measure(now, socket);
        return;
      }
      socket.progressAt = now;
      this.device.written(now, connection, n);
      if (connection.handle !== socket) return;
    }
    this.#interest(socket, socket.interest & ~EPOLLOUT);
  }

  #measure(now: number, socket: TcpSocket): void {
    socket.measuredAgainAt = now + PATH_INTERVAL;
    const info = tcpInfo(socket.fd);
    if (info !== null && info.minRttUs !== NOT_MEASURED) socket.connection.outbox.roundTrip = info.minRttUs / 1000;
  }

  /** Whoever has just taken something will soon take more, and is waited for; whoever has not taken anything for a while is not. */
  #isCongested(now: number, socket: TcpSocket): boolean {
    return (
      (socket.interest & EPOLLOUT) !== 0 &&
      now < socket.progressAt + this.#patience &&
      socket.connection.handle === socket &&
      socket.connection.outbox.queuedBytes >= CONGESTED_BYTES
    );
  }

  get #patience(): number {
    return this.device.peers.size === 1 ? PATIENCE_ALONE : PATIENCE;
  }

  /** The connection ended by itself. @param result of the call that said so: 0 for end of file, or a negative error number */
  #over(now: number, socket: TcpSocket, result: number): void {
    this.#forget(socket);
    this.device.closed(now, socket.connection, result === 0 ? 'eof' : closeReasonOf(result));
  }
}
