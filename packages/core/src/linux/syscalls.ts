import { EINTR } from './errno.js';
import type { Iovecs } from './iovecs.js';
import { errno, libc } from './libc.js';
import type { Slab } from '../slab/slab.js';

/**
 * Thin wrappers around the system calls that move bytes. Each returns a count (or descriptor) >= 0, or the negative
 * error number; a call that a signal interrupted is made again. Addresses come from `Slab.at` only, so a wrong offset or
 * length throws a RangeError here and never reaches C.
 */

/** Do not raise SIGPIPE on a reset connection (bits/socket.h). */
export const MSG_NOSIGNAL = 0x4000;
/** Return EAGAIN instead of waiting (bits/socket.h). */
export const MSG_DONTWAIT = 0x40;
/** On a UDP socket: the length returned is the datagram's, not the room's (bits/socket.h). */
export const MSG_TRUNC = 0x20;
/** Read the socket's error queue (bits/socket.h). */
export const MSG_ERRQUEUE = 0x2000;

export function read(fd: number, slab: Slab, offset: number, length: number): number {
  const address = slab.at(offset, length);
  for (;;) {
    const n = libc.read(fd, address, length);
    if (n >= 0) return n;
    const error = errno();
    if (error !== EINTR) return -error;
  }
}

export function write(fd: number, slab: Slab, offset: number, length: number): number {
  const address = slab.at(offset, length);
  for (;;) {
    const n = libc.write(fd, address, length);
    if (n >= 0) return n;
    const error = errno();
    if (error !== EINTR) return -error;
  }
}

export function recv(fd: number, slab: Slab, offset: number, length: number, flags = 0): number {
  const address = slab.at(offset, length);
  for (;;) {
    const n = libc.recv(fd, address, length, flags);
    if (n >= 0) return n;
    const error = errno();
    if (error !== EINTR) return -error;
  }
}

/** Writes to a socket; a reset connection gives -EPIPE, never a signal. */
export function send(fd: number, slab: Slab, offset: number, length: number, flags = 0): number {
  const address = slab.at(offset, length);
  for (;;) {
    const n = libc.send(fd, address, length, flags | MSG_NOSIGNAL);
    if (n >= 0) return n;
    const error = errno();
    if (error !== EINTR) return -error;
  }
}

export function readv(fd: number, vectors: Iovecs): number {
  for (;;) {
    const n = libc.readv(fd, vectors.address, vectors.count);
    if (n >= 0) return n;
    const error = errno();
    if (error !== EINTR) return -error;
  }
}

/** Not for sockets, where a reset would raise SIGPIPE (which Node ignores, but a host program might not): `sendv` there. */
export function writev(fd: number, vectors: Iovecs): number {
  for (;;) {
    const n = libc.writev(fd, vectors.address, vectors.count);
    if (n >= 0) return n;
    const error = errno();
    if (error !== EINTR) return -error;
  }
}

/** `writev` on a connected socket. */
export function sendv(fd: number, vectors: Iovecs, flags = 0): number {
  const header = vectors.messageHeader();
  for (;;) {
    const n = libc.sendmsg(fd, header, flags | MSG_NOSIGNAL);
    if (n >= 0) return n;
    const error = errno();
    if (error !== EINTR) return -error;
  }
}

/** Closes a descriptor. Not repeated after EINTR: on Linux the descriptor is gone by then (close(2)). */
export function close(fd: number): number {
  return libc.close(fd) >= 0 ? 0 : -errno();
}

/** For calls on control paths: `result >= 0 ? result : -errno`. */
export function checked(result: number): number {
  return result >= 0 ? result : -errno();
}
