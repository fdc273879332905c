import { accessSync, constants, existsSync, readFileSync } from 'node:fs';
import type { DriverName } from './host.js';

/** linux/capability.h */
const CAP_NET_ADMIN = 12n;

export interface DriverChoice {
  readonly driver: DriverName;
  /** one line for people when it is not what they may expect, else null */
  readonly why: string | null;
}

/** The linux driver where a TUN can be made, else the portable one. */
export function chooseDriver(wanted: DriverName | undefined): DriverChoice {
  if (wanted !== undefined) return { driver: wanted, why: wanted === 'portable' ? 'as asked' : null };
  const obstacle = tunObstacle();
  return obstacle === null ? { driver: 'linux', why: null } : { driver: 'portable', why: obstacle };
}

/** Why no TUN can be made here; null when one can, as far as can be told beforehand. */
function tunObstacle(): string | null {
  if (process.platform !== 'linux') return `there is no driver for interfaces on ${process.platform}`;
  if (!mayAdministerNetwork()) return 'there is no permission to make interfaces (CAP_NET_ADMIN)';
  if (!existsSync('/dev/net/tun')) return 'there is no /dev/net/tun';
  try {
    accessSync('/dev/net/tun', constants.R_OK | constants.W_OK);
    return null;
  } catch {
    return '/dev/net/tun may not be opened';
  }
}

function mayAdministerNetwork(): boolean {
  try {
    const mask = /^CapEff:\s*([0-9a-f]+)$/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1];
    if (mask !== undefined) return ((BigInt(`0x${mask}`) >> CAP_NET_ADMIN) & 1n) === 1n;
  } catch {
    // Without /proc, being root has to do.
  }
  return process.getuid?.() === 0;
}
