import { EINTR } from './errno.js';
import { errno, libc } from './libc.js';
import { nativeSlab } from './nativeslab.js';
import { checked, close } from './syscalls.js';
import type { Slab } from '../slab/slab.js';

/** What to wait for, and what happened (sys/epoll.h). */
export const EPOLLIN = 0x001;
export const EPOLLOUT = 0x004;
export const EPOLLERR = 0x008;
export const EPOLLHUP = 0x010;
export const EPOLLRDHUP = 0x2000;
/** Report a change once instead of a state for as long as it lasts. */
export const EPOLLET = 0x8000_0000 | 0;

const EPOLL_CTL_ADD = 1;
const EPOLL_CTL_DEL = 2;
const EPOLL_CTL_MOD = 3;
const EPOLL_CLOEXEC = 0o2000000;

/** struct epoll_event: 32 bits of events, 64 of data; packed on x86-64 only (linux/eventpoll.h). */
const EVENT = process.arch === 'x64' ? 12 : 16;
const DATA = process.arch === 'x64' ? 4 : 8;

/**
 * An epoll instance. Descriptors are level-triggered unless EPOLLET is asked for: `wait` reports one again and again
 * until it has been read empty (or written full), so a turn may stop early for fairness without losing anything.
 *
 * Each descriptor carries a token (32 bits) by which the caller knows it. Descriptors are used again by the kernel as soon as
 * they are closed, tokens should not be: an event that was fetched before its descriptor was closed is then recognised as stale.
 */
export class Epoll {
  readonly fd: number;
  readonly #events: Slab;

  /** @param capacity events fetched at once; what does not fit is fetched by the next `wait` */
  constructor(private readonly capacity = 256) {
    this.fd = checked(libc.epoll_create1(EPOLL_CLOEXEC));
    if (this.fd < 0) throw new Error(`epoll_create1 failed: errno ${-this.fd}`);
    // One more at the end serves as the argument of `control`.
    this.#events = nativeSlab((capacity + 1) * EVENT);
  }

  add(fd: number, events: number, token: number): number {
    return this.#control(EPOLL_CTL_ADD, fd, events, token);
  }

  modify(fd: number, events: number, token: number): number {
    return this.#control(EPOLL_CTL_MOD, fd, events, token);
  }

  remove(fd: number): number {
    return this.#control(EPOLL_CTL_DEL, fd, 0, 0);
  }

  /**
   * Waits for events; a signal ends the wait early.
   * @param timeoutMs whole milliseconds; 0 does not wait, -1 waits for ever
   * @returns how many there are, for `events` and `token`; or the negative error number
   */
  wait(timeoutMs: number): number {
    const n = libc.epoll_wait(this.fd, this.#events.at(0, this.capacity * EVENT), this.capacity, timeoutMs);
    if (n >= 0) return n;
    const error = errno();
    return error === EINTR ? 0 : -error;
  }

  events(i: number): number {
    return this.#events.view.getInt32(i * EVENT, true);
  }

  token(i: number): number {
    return this.#events.view.getUint32(i * EVENT + DATA, true);
  }

  close(): void {
    close(this.fd);
  }

  #control(operation: number, fd: number, events: number, token: number): number {
    const at = this.capacity * EVENT;
    this.#events.view.setInt32(at, events, true);
    this.#events.view.setUint32(at + DATA, token, true);
    this.#events.view.setUint32(at + DATA + 4, 0, true);
    return checked(libc.epoll_ctl(this.fd, operation, fd, this.#events.at(at, EVENT)));
  }
}
