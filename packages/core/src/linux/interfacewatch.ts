import { closeSync, fstatSync, openSync } from 'node:fs';
import type { InterfaceSnapshot } from '../device/snapshot.js';
import { errnoName } from './errno.js';
import { libc } from './libc.js';
import { nativeSlab } from './nativeslab.js';
import { openRouteWatch } from './routewatch.js';
import { setOption } from './sockopts.js';
import { checked, close, send } from './syscalls.js';
import { interfaceName } from './tun.js';

/**
 * Notices what others do to the interface: a new MTU or name, up and down, a move to another network namespace.
 *
 * Theory of operation. A TUN's descriptor leads to its interface wherever that is (TUNGETIFF, TUNGETDEVNETNS). rtnetlink tells of changes in the namespace
 * that its socket was made in, and on request in all others that have a number there (NETLINK_LISTEN_ALL_NSID); so the namespace that an interface went to is
 * given one. What the messages say is not read, they are only a reason to look. To ask for MTU and state, a socket is made in the interface's
 * namespace and closed at once: this thread enters it for that long, and comes back. Nothing of ours stays there: a socket would keep the namespace, and the
 * interface in it, alive when everybody else has left. Entering another namespace takes CAP_SYS_ADMIN and Linux 5.12; without, an interface is followed where it
 * was made and no further.
 */

/** linux/if_tun.h (Linux 5.12) */
const TUNGETDEVNETNS = 0x54e3;
/** linux/sockios.h, linux/if.h: struct ifreq has 16 bytes of name in front, 40 in all */
const SIOCGIFFLAGS = 0x8913;
const SIOCGIFMTU = 0x8921;
const IFF_UP = 1;
const IFNAMSIZ = 16;
const IFREQ = 40;
/** linux/sched.h */
const CLONE_NEWNET = 0x4000_0000;
/** asm-generic/fcntl.h */
const O_CLOEXEC = 0o2000000;
/** rtnetlink(7): RTMGRP_LINK */
const LINK_GROUP = 1;
/** linux/socket.h, linux/netlink.h */
const SOL_NETLINK = 270;
const NETLINK_LISTEN_ALL_NSID = 8;
/** linux/netlink.h, linux/rtnetlink.h, linux/net_namespace.h: gives a namespace, by descriptor, the next free number */
const NLM_F_REQUEST = 1;
const RTM_NEWNSID = 88;
const NETNSA_NSID = 1;
const NETNSA_FD = 3;
const ANY_NUMBER = -1;
/** An interface that moves faster than it can be followed is looked for again at the next message. */
const FOLLOW_MAX = 4;

const scratch = nativeSlab(4096);

export class InterfaceWatch {
  /** descriptor to wait on, or the negative error number */
  readonly fd = openRouteWatch(LINK_GROUP);
  readonly #home = namespaceOf('/proc/thread-self/ns/net');
  #numbered = this.#home;

  constructor(private readonly tunFd: number) {
    if (this.fd >= 0) setOption(this.fd, SOL_NETLINK, NETLINK_LISTEN_ALL_NSID, 1);
  }

  /** How the interface is now; null when that cannot be told, as when it is gone. */
  look(): InterfaceSnapshot | null {
    for (let i = 0; i < FOLLOW_MAX; i++) {
      const space = checked(libc.ioctl(this.tunFd, TUNGETDEVNETNS, 0));
      try {
        const at = space < 0 ? this.#home : namespaceOf(space);
        const state = at === this.#home ? this.#ask(this.fd) : this.#askIn(space, at);
        // It may have gone on, or got another name, in between.
        if (state !== null) return { ...state, elsewhere: at !== this.#home };
      } finally {
        if (space >= 0) close(space);
      }
    }
    return null;
  }

  close(): void {
    if (this.fd >= 0) close(this.fd);
  }

  #askIn(space: number, at: string | null): Omit<InterfaceSnapshot, 'elsewhere'> | null {
    if (at !== this.#numbered) {
      this.#number(space);
      this.#numbered = at;
    }
    const fd = openWatchIn(space);
    // Another interface of the same name may be where we are.
    if (fd < 0) return null;
    try {
      return this.#ask(fd);
    } finally {
      close(fd);
    }
  }

  /** Has the kernel tell us of that namespace, too. One that has a number already keeps it. */
  #number(space: number): void {
    const { view, bytes } = scratch;
    // struct nlmsghdr, struct rtgenmsg, and two attributes of 32 bits.
    bytes.fill(0, 0, 36);
    view.setUint32(0, 36, true);
    view.setUint16(4, RTM_NEWNSID, true);
    view.setUint16(6, NLM_F_REQUEST, true);
    for (const [offset, type, value] of [
      [20, NETNSA_NSID, ANY_NUMBER],
      [28, NETNSA_FD, space],
    ] as const) {
      view.setUint16(offset, 8, true);
      view.setUint16(offset + 2, type, true);
      view.setInt32(offset + 4, value, true);
    }
    send(this.fd, scratch, 0, 36);
  }

  /** @param fd a socket in the interface's namespace */
  #ask(fd: number): Omit<InterfaceSnapshot, 'elsewhere'> | null {
    const name = interfaceName(this.tunFd);
    const mtu = query(fd, SIOCGIFMTU, name);
    const flags = query(fd, SIOCGIFFLAGS, name);
    return mtu < 0 || flags < 0 ? null : { name, mtu, up: (flags & IFF_UP) !== 0 };
  }
}

/** A number that the kernel keeps of an interface (netdevice(7)); or the negative error number. */
function query(fd: number, request: number, name: string): number {
  scratch.bytes.fill(0, 0, IFREQ);
  scratch.bytes.set(Buffer.from(name, 'latin1'), 0);
  const result = checked(libc.ioctl(fd, request, scratch.at(0, IFREQ)));
  if (result < 0) return result;
  return request === SIOCGIFMTU ? scratch.view.getInt32(IFNAMSIZ, true) : scratch.view.getUint16(IFNAMSIZ, true);
}

/** What tells namespaces apart; null when it cannot be found out. */
function namespaceOf(of: string | number): string | null {
  try {
    const fd = typeof of === 'number' ? of : openSync(of, 'r');
    const { dev, ino } = fstatSync(fd);
    if (fd !== of) closeSync(fd);
    return `${dev}:${ino}`;
  } catch {
    return null;
  }
}

/** Makes a socket in another network namespace. @returns its descriptor, or the negative error number when that is not to be entered */
function openWatchIn(space: number): number {
  const home = checked(libc.open('/proc/thread-self/ns/net', O_CLOEXEC, 0));
  if (home < 0) return home;
  const entered = checked(libc.setns(space, CLONE_NEWNET));
  const fd = entered < 0 ? entered : openRouteWatch(LINK_GROUP);
  const back = entered < 0 ? 0 : checked(libc.setns(home, CLONE_NEWNET));
  close(home);
  // Staying would put every later socket in the wrong place; there is nothing to go on with then.
  if (back < 0) throw new Error(`cannot return to the network namespace: ${errnoName(back)}`);
  return fd;
}
