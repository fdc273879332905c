import { closeSync, fstatSync, openSync } from 'node:fs';
import type { InterfaceSnapshot } from '../device/snapshot.js';
import { errnoName } from './errno.js';
import { libc } from './libc.js';
import { nativeSlab } from './nativeslab.js';
import { openRouteWatch } from './routewatch.js';
import { checked, close } from './syscalls.js';
import { interfaceName } from './tun.js';

/**
 * Notices what others do to the interface: a new MTU or name, up and down, a move to another network namespace.
 *
 * Theory of operation. A TUN's descriptor leads to its interface wherever that is (TUNGETIFF, TUNGETDEVNETNS); rtnetlink tells of changes in
 * the one namespace that its socket was made in. So this thread enters the interface's namespace for as long as it takes to make such a
 * socket there, and comes back: all other sockets stay where the tunnel was born. When the interface leaves, the socket says so, and
 * the next `look` finds it in its new place. What the messages say is not read, they are only a reason to look. Entering another namespace takes
 * CAP_SYS_ADMIN and Linux 5.12; without, an interface is followed where it was made and no further.
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
/** An interface that moves faster than it can be followed is looked for again at the next message. */
const FOLLOW_MAX = 4;

const scratch = nativeSlab(4096);

export class InterfaceWatch {
  /** descriptor to wait on, a new one after each move; or the negative error number */
  fd = openRouteWatch(LINK_GROUP);
  readonly #home = namespaceOf('/proc/thread-self/ns/net');
  #watched = this.#home;

  constructor(private readonly tunFd: number) {}

  /**
   * How the interface is now; null when that cannot be told, as when it is gone.
   * @param moved called with the watch's old descriptor when there is a new one, before the old one is closed
   */
  look(moved: (before: number) => void): InterfaceSnapshot | null {
    for (let i = 0; i < FOLLOW_MAX; i++) {
      const at = this.#follow(moved);
      if (at === null) return null;
      const name = interfaceName(this.tunFd);
      const mtu = this.#ask(SIOCGIFMTU, name);
      const flags = this.#ask(SIOCGIFFLAGS, name);
      // It may have gone on, or got another name, in between.
      if (mtu < 0 || flags < 0) continue;
      return { name, mtu, up: (flags & IFF_UP) !== 0, elsewhere: at !== this.#home };
    }
    return null;
  }

  close(): void {
    if (this.fd >= 0) close(this.fd);
    this.fd = -1;
  }

  /** Sees to it that the watch is in the interface's namespace. @returns that namespace, or null when it is not let in */
  #follow(moved: (before: number) => void): string | null {
    const space = checked(libc.ioctl(this.tunFd, TUNGETDEVNETNS, 0));
    if (space < 0) return this.#watched;
    try {
      const at = namespaceOf(space);
      if (at === this.#watched) return at;
      const fd = openWatchIn(space);
      // Another interface of the same name may be where we are.
      if (fd < 0) return null;
      const before = this.fd;
      this.fd = fd;
      this.#watched = at;
      moved(before);
      if (before >= 0) close(before);
      return at;
    } finally {
      close(space);
    }
  }

  /** A number that the kernel keeps of the interface (netdevice(7)); or the negative error number. */
  #ask(request: number, name: string): number {
    scratch.bytes.fill(0, 0, IFREQ);
    scratch.bytes.set(Buffer.from(name, 'latin1'), 0);
    const result = checked(libc.ioctl(this.fd, request, scratch.at(0, IFREQ)));
    if (result < 0) return result;
    return request === SIOCGIFMTU ? scratch.view.getInt32(IFNAMSIZ, true) : scratch.view.getUint16(IFNAMSIZ, true);
  }
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

/** Makes a route watch in another network namespace. @returns its descriptor, or the negative error number when that is not to be entered */
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
