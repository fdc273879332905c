import koffi from 'koffi';
import { existsSync } from 'node:fs';
import { nativeSlab } from '../../src/linux/nativeslab.js';

const AF_UNIX = 1;
const SOCK_STREAM = 1;
const SOCK_NONBLOCK = 0o4000;

const socketpair = koffi.load(null).func('int socketpair(int domain, int type, int protocol, uintptr_t sv)');

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
      : !existsSync('/sbin/ip') && !existsSync('/usr/sbin/ip') && !existsSync('/usr/bin/ip')
        ? 'needs iproute2'
        : null;
