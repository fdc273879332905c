import type { Endpoint } from '../address/endpoint.js';
import type { CloseReason } from '../device/driver.js';
import {
  ECONNABORTED,
  ECONNREFUSED,
  ECONNRESET,
  EHOSTDOWN,
  EHOSTUNREACH,
  EINPROGRESS,
  EINTR,
  ENETUNREACH,
  EPIPE,
  ETIMEDOUT,
} from './errno.js';
import { errno, libc } from './libc.js';
import { nativeSlab } from './nativeslab.js';
import { AF_INET, AF_INET6, familyOf, readSockaddr, SOCKADDR_IN6, writeSockaddr } from './sockaddr.js';
import { noDelay, notSentLowat, orClose, packetInfo, reuseAddress, setMark, userTimeout, v6Only } from './sockopts.js';
import { checked, close } from './syscalls.js';

/**
 * Sockets of the engine: TCP listeners and connections, UDP sockets. All are non-blocking and close-on-exec. Everything
 * here returns a descriptor (or 0), or the negative error number; `listen.ts` turns those into errors for people.
 */

/** Socket types and flags (bits/socket.h, asm-generic/fcntl.h). */
const SOCK_STREAM = 1;
const SOCK_DGRAM = 2;
const SOCK_NONBLOCK = 0o4000;
const SOCK_CLOEXEC = 0o2000000;
const SHUT_WR = 1;

/**
 * Connections waiting for accept, per listener. The kernel cuts it to net.core.somaxconn (4096 by default); more would
 * only let a flood of strangers wait longer, since the pending list holds 128 (DESIGN §4).
 */
const BACKLOG = 256;

/**
 * A connection whose data nobody has acknowledged for so long is dead, ms. Three times REKEY_TIMEOUT: a handshake has
 * been tried three times by then. DERP servers use the same.
 */
export const USER_TIMEOUT_MS = 15_000;

/**
 * How many unsent bytes may wait in a socket's buffer before it counts as full. Enough to keep the card busy between two
 * turns of the loop, little enough that what is dropped when the path is slow is dropped in our queue, where the oldest
 * goes first, and that a handshake does not wait behind it.
 */
export const NOTSENT_LOWAT_BYTES = 32 * 1024;

const scratch = nativeSlab(4096);
/** Where accept4 and getsockname put a length, and the address behind it. */
const LENGTH = 0;
const ADDRESS = 8;

function writeScratch(endpoint: Endpoint): number {
  return writeSockaddr(scratch, ADDRESS, endpoint);
}

function newSocket(family: number, type: number): number {
  return checked(libc.socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
}

function bindTo(fd: number, local: Endpoint): number {
  const length = writeScratch(local);
  return checked(libc.bind(fd, scratch.at(ADDRESS, length), length));
}

/** Options that every connection has, dialled or accepted. Those that a kernel refuses are done without. */
function tune(fd: number): number {
  noDelay(fd);
  userTimeout(fd, USER_TIMEOUT_MS);
  notSentLowat(fd, NOTSENT_LOWAT_BYTES);
  return 0;
}

const ANY = { 4: '0.0.0.0', 6: '::' } as const;

/** A listener on one family at `port` (0: any). IPv6 ones take IPv6 only, so that both families can be at one port. */
export function listenTcp(family: 4 | 6, port: number, mark = 0, address: string = ANY[family]): number {
  const fd = newSocket(family === 4 ? AF_INET : AF_INET6, SOCK_STREAM);
  if (fd < 0) return fd;
  return orClose(
    fd,
    () => reuseAddress(fd),
    () => (family === 6 ? v6Only(fd) : 0),
    // Accepted connections inherit mark and options from their listener.
    () => (mark !== 0 ? setMark(fd, mark) : 0),
    () => tune(fd),
    () => bindTo(fd, { family, address, port }),
    () => checked(libc.listen(fd, BACKLOG)),
  );
}

/** A UDP socket on one family at `port` (0: any) that reports the local address of each datagram. */
export function bindUdp(family: 4 | 6, port: number, mark = 0, address: string = ANY[family]): number {
  const fd = newSocket(family === 4 ? AF_INET : AF_INET6, SOCK_DGRAM);
  if (fd < 0) return fd;
  return orClose(
    fd,
    () => (family === 6 ? v6Only(fd) : 0),
    () => (mark !== 0 ? setMark(fd, mark) : 0),
    () => packetInfo(fd, family),
    () => bindTo(fd, { family, address, port }),
  );
}

/** The connection that `acceptTcp` returned last came from here. */
export let acceptedFrom: Endpoint | null = null;

/**
 * Takes one connection off a listener.
 * @returns its descriptor, with `acceptedFrom` set, or the negative error number. -EAGAIN: there is none; -EMFILE and the like: none can
 *   be taken now and the listener stays readable; -ECONNABORTED and network errors: that one is gone, ask again.
 */
export function acceptTcp(listener: number): number {
  for (;;) {
    scratch.view.setUint32(LENGTH, SOCKADDR_IN6, true);
    const fd = libc.accept4(
      listener,
      scratch.at(ADDRESS, SOCKADDR_IN6),
      scratch.at(LENGTH, 4),
      SOCK_NONBLOCK | SOCK_CLOEXEC,
    );
    if (fd < 0) {
      const error = errno();
      if (error === EINTR) continue;
      acceptedFrom = null;
      return -error;
    }
    acceptedFrom = readSockaddr(scratch, ADDRESS);
    tune(fd);
    return fd;
  }
}

/**
 * Begins a connection. It is open when the socket becomes writable and `pendingError` is 0.
 * @returns the descriptor, or the negative error number when it failed at once
 */
export function connectTcp(remote: Endpoint, mark = 0): number {
  const fd = newSocket(familyOf(remote), SOCK_STREAM);
  if (fd < 0) return fd;
  return orClose(
    fd,
    () => (mark !== 0 ? setMark(fd, mark) : 0),
    () => tune(fd),
    () => {
      const length = writeScratch(remote);
      const result = checked(libc.connect(fd, scratch.at(ADDRESS, length), length));
      return result === -EINPROGRESS || result === -EINTR ? 0 : result;
    },
  );
}

/** The address that a socket is bound to; null when there is none. */
export function localEndpoint(fd: number): Endpoint | null {
  scratch.view.setUint32(LENGTH, SOCKADDR_IN6, true);
  const result = libc.getsockname(fd, scratch.at(ADDRESS, SOCKADDR_IN6), scratch.at(LENGTH, 4));
  return result < 0 ? null : readSockaddr(scratch, ADDRESS);
}

/** The address of ours that the routing table chooses towards an endpoint; null when there is no way there. */
export function sourceTowards(remote: Endpoint, mark: number): string | null {
  const fd = newSocket(familyOf(remote), SOCK_DGRAM);
  if (fd < 0) return null;
  if (mark !== 0) setMark(fd, mark);
  // Connecting a UDP socket sends nothing.
  const length = writeScratch(remote);
  const result = checked(libc.connect(fd, scratch.at(ADDRESS, length), length));
  const local = result < 0 ? null : localEndpoint(fd);
  close(fd);
  return local?.address ?? null;
}

/** Sends FIN once the socket's buffer is empty; reading goes on. */
export function shutdownWrite(fd: number): number {
  return checked(libc.shutdown(fd, SHUT_WR));
}

/** What an error on a connection says about why it ended. @param error positive or negative error number */
export function closeReasonOf(error: number): CloseReason {
  switch (Math.abs(error)) {
    case ECONNRESET:
    case EPIPE:
    case ECONNABORTED:
      return 'reset';
    case ECONNREFUSED:
    case EHOSTUNREACH:
    case ENETUNREACH:
    case EHOSTDOWN:
      return 'refused';
    case ETIMEDOUT:
      return 'timeout';
    default:
      return 'error';
  }
}
