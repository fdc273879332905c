import { constants } from 'node:os';

/**
 * Error numbers by name. System calls in this folder return a count or descriptor (>= 0), or the negative error number,
 * as they do at the kernel's own border; nothing is thrown on the way of a packet.
 */
export const {
  EAGAIN,
  EBADF,
  EBUSY,
  ECONNABORTED,
  ECONNREFUSED,
  ECONNRESET,
  EACCES,
  EADDRINUSE,
  EADDRNOTAVAIL,
  EAFNOSUPPORT,
  EHOSTUNREACH,
  EINPROGRESS,
  EINTR,
  EINVAL,
  EIO,
  EMFILE,
  EMSGSIZE,
  ENETUNREACH,
  ENFILE,
  ENOBUFS,
  ENODEV,
  ENOENT,
  ENOMEM,
  ENOTTY,
  EPERM,
  EPIPE,
  ETIMEDOUT,
} = constants.errno;

/** Not among node:os's constants: "file descriptor in bad state", what a TUN says once its interface is gone (errno.h). */
export const EBADFD = 77;
/** "Host is down" (errno.h). */
export const EHOSTDOWN = 112;

const NAMES = new Map<number, string>(Object.entries(constants.errno).map(([name, number]) => [number, name]));
NAMES.set(EAGAIN, 'EAGAIN');
NAMES.set(EBADFD, 'EBADFD');
NAMES.set(EHOSTDOWN, 'EHOSTDOWN');

/** `ECONNRESET` for 104 or -104; `errno 1000` for a number without a name. */
export function errnoName(number: number): string {
  return NAMES.get(Math.abs(number)) ?? `errno ${Math.abs(number)}`;
}
