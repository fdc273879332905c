import { S_IFCHR, S_IFREG, cpioArchive, type CpioEntry } from './cpio.js';
import { GUEST_INIT } from './guestinit.js';
import type { OrderedModule } from './modules.js';
import { busyboxEntries, findProgram, programEntries } from './programs.js';

/** Programs of the guest, from this host's packages. */
const GUEST_PROGRAMS = ['dash', 'ip', 'ss', 'ping', 'tcpdump', 'iperf3', 'wg'];

export interface InitramfsOptions {
  readonly modules: readonly OrderedModule[];
  /** a `wg` of the user's own */
  readonly wg?: string;
}

/** @throws Error naming the programs that are not installed */
export function buildInitramfs({ modules, wg }: InitramfsOptions): Buffer {
  const programs = GUEST_PROGRAMS.map((name) => ({
    name,
    file: name === 'wg' && wg !== undefined ? wg : findProgram(name),
  }));
  const busybox = findProgram('busybox');
  const missing = [...programs.filter(({ file }) => file === undefined).map(({ name }) => name)];
  if (busybox === undefined) missing.push('busybox');
  if (missing.length > 0) throw new Error(`not installed: ${missing.join(', ')}`);
  return cpioArchive([
    file('init', 0o755, GUEST_INIT),
    // The kernel opens this one before anything is mounted.
    { path: 'dev/console', mode: S_IFCHR | 0o600, data: new Uint8Array(), device: [5, 1] },
    ...['proc', 'sys', 'tmp', 'run'].map((path) => ({ path, mode: 0o040755, data: new Uint8Array() })),
    file('etc/passwd', 0o644, 'root:x:0:0:root:/tmp:/bin/sh\n'),
    file('etc/protocols', 0o644, 'ip 0 IP\nicmp 1 ICMP\ntcp 6 TCP\nudp 17 UDP\nipv6-icmp 58 IPv6-ICMP\n'),
    ...programEntries(programs as { name: string; file: string }[]),
    ...busyboxEntries(busybox!),
    file('modules/order', 0o644, modules.map(({ name }) => `${name}.ko\n`).join('')),
    ...modules.map(({ name, image }) => ({ path: `modules/${name}.ko`, mode: S_IFREG | 0o644, data: image })),
  ]);
}

function file(path: string, permissions: number, text: string): CpioEntry {
  return { path, mode: S_IFREG | permissions, data: Buffer.from(text) };
}
