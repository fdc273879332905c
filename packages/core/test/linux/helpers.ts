import koffi from 'koffi';
import { execFile } from 'node:child_process';
import { closeSync, existsSync, openSync } from 'node:fs';
import { promisify } from 'node:util';
import { nativeSlab } from '../../src/linux/nativeslab.js';

const AF_UNIX = 1;
const SOCK_STREAM = 1;
const SOCK_NONBLOCK = 0o4000;
const CLONE_NEWNET = 0x4000_0000;

const libc = koffi.load(null);
const socketpair = libc.func('int socketpair(int domain, int type, int protocol, uintptr_t sv)');
const unshare = libc.func('int unshare(int flags)');
const setns = libc.func('int setns(int fd, int nstype)');

/** Two connected non-blocking stream sockets. */
export function socketPair(): [number, number] {
  const slab = nativeSlab(4096);
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, slab.at(0, 8)) !== 0) throw new Error('socketpair failed');
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

export const run = promisify(execFile);

/**
 * Runs `body` with this thread, and the processes it starts, in a network namespace of its own that is gone afterwards. Node's
 * sockets and ours are made on this thread, so they are in it too.
 */
export async function inNamespace(body: () => Promise<void>): Promise<void> {
  const home = openSync('/proc/thread-self/ns/net', 'r');
  try {
    if (unshare(CLONE_NEWNET) !== 0) throw new Error('unshare failed');
    await run('ip', ['link', 'set', 'lo', 'up']);
    await body();
  } finally {
    if (setns(home, CLONE_NEWNET) !== 0) throw new Error('cannot go back to the first namespace');
    closeSync(home);
  }
}
