import type { Endpoint } from '../address/endpoint.js';
import { EAGAIN } from './errno.js';
import { libc } from './libc.js';
import { nativeSlab } from './nativeslab.js';
import { familyOf, writeSockaddr } from './sockaddr.js';
import { localEndpoint } from './sockets.js';
import { orClose, setMark } from './sockopts.js';
import { checked, close, recv } from './syscalls.js';

/**
 * Notices that the way to a peer changed.
 *
 * Theory of operation. The kernel tells of every change of a link, an address or a route (rtnetlink(7)), most of which concern nobody here.
 * So a message is only a reason to look: `sourceFor` asks the kernel which local address it would take to the peer now, and only where that
 * is no longer the connection's own, or a way came back that had been gone, is the connection worth replacing. (The kernel TCP module dials anew on every
 * message, its own interface coming up included: KERNEL.md row 4.)
 */

/** linux/netlink.h, linux/rtnetlink.h, bits/socket.h */
const AF_NETLINK = 16;
const SOCK_RAW = 3;
const SOCK_DGRAM = 2;
const SOCK_NONBLOCK = 0o4000;
const SOCK_CLOEXEC = 0o2000000;
const NETLINK_ROUTE = 0;
const SOCKADDR_NL = 12;
/** RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV4_ROUTE | RTMGRP_IPV6_IFADDR | RTMGRP_IPV6_ROUTE */
const GROUPS = 0x1 | 0x10 | 0x40 | 0x100 | 0x400;

const scratch = nativeSlab(16 * 1024);

/** A socket that becomes readable when links, addresses or routes change, or what else is in `groups`; or the negative error number. */
export function openRouteWatch(groups = GROUPS): number {
  const fd = checked(libc.socket(AF_NETLINK, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, NETLINK_ROUTE));
  if (fd < 0) return fd;
  return orClose(fd, () => {
    scratch.bytes.fill(0, 0, SOCKADDR_NL);
    scratch.view.setUint16(0, AF_NETLINK, true);
    scratch.view.setUint32(8, groups, true);
    return checked(libc.bind(fd, scratch.at(0, SOCKADDR_NL), SOCKADDR_NL));
  });
}

/** Empties the socket. What the messages say is not needed, nor is it bad when some were lost (ENOBUFS). */
export function drainRouteWatch(fd: number): void {
  for (let i = 0; i < 1000 && recv(fd, scratch, 0, scratch.size) !== -EAGAIN; i++);
}

/** The local address that the kernel would take to `remote` now; null when there is no way there. Sends nothing. */
export function sourceFor(remote: Endpoint, mark: number): string | null {
  const fd = checked(libc.socket(familyOf(remote), SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (fd < 0) return null;
  if (mark !== 0) setMark(fd, mark);
  const length = writeSockaddr(scratch, 0, remote);
  const source = libc.connect(fd, scratch.at(0, length), length) < 0 ? null : localEndpoint(fd);
  close(fd);
  return source === null ? null : source.address;
}

/** Whether `address` is one of this machine's own. */
export function isLocal(local: Endpoint): boolean {
  const fd = checked(libc.socket(familyOf(local), SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (fd < 0) return true;
  const length = writeSockaddr(scratch, 0, { ...local, port: 0 });
  const bound = libc.bind(fd, scratch.at(0, length), length) >= 0;
  close(fd);
  return bound;
}
