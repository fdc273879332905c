import koffi from 'koffi';
import { execFile, type ChildProcess } from 'node:child_process';
import { closeSync, existsSync, openSync, readFileSync } from 'node:fs';
import { promisify } from 'node:util';
import { nativeSlab } from '../../src/linux/nativeslab.js';

const AF_UNIX = 1;
const SOCK_STREAM = 1;
const SOCK_DGRAM = 2;
const SOCK_NONBLOCK = 0o4000;
const CLONE_NEWNET = 0x4000_0000;

const libc = koffi.load(null);
const socketpair = libc.func('int socketpair(int domain, int type, int protocol, uintptr_t sv)');
const unshare = libc.func('int unshare(int flags)');
const setns = libc.func('int setns(int fd, int nstype)');

/** Two connected non-blocking sockets, of a stream or of datagrams. */
export function socketPair(kind: 'stream' | 'datagram' = 'stream'): [number, number] {
  const slab = nativeSlab(4096);
  if (socketpair(AF_UNIX, (kind === 'stream' ? SOCK_STREAM : SOCK_DGRAM) | SOCK_NONBLOCK, 0, slab.at(0, 8)) !== 0)
    throw new Error('socketpair failed');
  return [slab.view.getInt32(0, true), slab.view.getInt32(4, true)];
}

/** Why tests that make network interfaces cannot run here, or null when they can. */
export const noTun: string | null =
  process.getuid?.() !== 0
    ? 'needs root'
    : !existsSync('/dev/net/tun')
      ? 'needs /dev/net/tun'
      : !['/sbin/ip', '/usr/sbin/ip', '/usr/bin/ip'].some(existsSync)
        ? 'needs iproute2'
        : null;

/** Why tests over IPv6 loopback cannot run here, or null when they can. */
export const noIpv6: string | null =
  existsSync('/proc/net/if_inet6') && /\blo$/m.test(readFileSync('/proc/net/if_inet6', 'latin1')) ? null : 'needs IPv6';

export const run = promisify(execFile);

/** The namespace that the tests began in. */
let home = -1;

/** Moves this thread, and with it the processes that it starts and the sockets that it makes, into a namespace; null: back home. */
export function enterNamespace(fd: number | null): void {
  if (fd === null && home < 0) return;
  if (setns(fd ?? home, CLONE_NEWNET) !== 0) throw new Error('setns failed');
}

/** A network namespace that exists as long as its descriptor is open, or something of it is. */
export class Namespace {
  constructor(readonly fd: number) {}

  enter(): void {
    enterNamespace(this.fd);
  }

  /** For ip(8), which opens it again. */
  get path(): string {
    return `/proc/${process.pid}/fd/${this.fd}`;
  }

  /** Runs a function in it, up to its end; what else runs on this thread meanwhile has to enter its own. */
  async inside<T>(body: () => Promise<T>): Promise<T> {
    this.enter();
    try {
      return await body();
    } finally {
      enterNamespace(null);
    }
  }

  /** Starts a program in it. */
  run(file: string, ...args: string[]): Promise<{ stdout: string; stderr: string }> & { child: ChildProcess } {
    this.enter();
    const promise = run(file, args, { env: process.env });
    enterNamespace(null);
    return promise as never;
  }

  ip(...args: string[]): Promise<unknown> {
    return this.run('ip', ...args);
  }

  close(): void {
    closeSync(this.fd);
  }
}

export async function newNamespace(): Promise<Namespace> {
  if (home < 0) home = openSync('/proc/thread-self/ns/net', 'r');
  if (unshare(CLONE_NEWNET) !== 0) throw new Error('unshare failed');
  const space = new Namespace(openSync('/proc/thread-self/ns/net', 'r'));
  enterNamespace(null);
  await space.ip('link', 'set', 'lo', 'up');
  return space;
}

/** Runs `body` in a namespace of its own that is gone afterwards. */
export async function inNamespace(body: () => Promise<void>): Promise<void> {
  const space = await newNamespace();
  try {
    await space.inside(body);
  } finally {
    space.close();
  }
}
