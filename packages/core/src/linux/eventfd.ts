import { libc } from './libc.js';
import { nativeSlab } from './nativeslab.js';
import { checked } from './syscalls.js';

/** sys/eventfd.h */
const EFD_NONBLOCK = 0o4000;
const EFD_CLOEXEC = 0o2000000;

/**
 * A descriptor by which one thread wakes another out of `Epoll.wait`. `signal` may be called from any thread that knows the
 * number (`signalEventFd`); signals that come before the other end looks are one.
 */
export function openEventFd(): number {
  const fd = checked(libc.eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
  if (fd < 0) throw new Error(`eventfd failed: errno ${-fd}`);
  return fd;
}

const counter = nativeSlab(4096);

/** @returns 0 or the negative error number */
export function signalEventFd(fd: number): number {
  counter.view.setUint32(0, 1, true);
  counter.view.setUint32(4, 0, true);
  const n = checked(libc.write(fd, counter.at(0, 8), 8));
  return n < 0 ? n : 0;
}

/** Takes back all signals so far. @returns whether there were any */
export function drainEventFd(fd: number): boolean {
  return libc.read(fd, counter.at(8, 8), 8) === 8;
}
