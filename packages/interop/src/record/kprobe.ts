import { createPrivateKey, createPublicKey } from 'node:crypto';
import type { Shell } from '../sides/shell.js';

/**
 * The kernel's ephemeral keys, read while it runs: a probe on the insertion of a handshake into the table of indices, when its keys have just been made.
 * wireguard-tools' extract-handshakes does the same.
 */

/**
 * Where the ephemeral private key is, from the table entry that the handshake begins with (drivers/net/wireguard/noise.h and peerlookup.h): the entry
 * (32 bytes), state (4, and 4 of padding), time of the last initiation (8), pointer to the static identity (8), then the key.
 */
const KEY_OFFSET = 56;
const TRACING = '/sys/kernel/tracing';
const PROBE = 'wirestream_ephemeral';
/** Register of a function's second argument. */
const SECOND_ARGUMENT: Readonly<Record<string, string>> = { x64: '%si', arm64: '%x1' };

export async function startProbe(shell: Shell): Promise<void> {
  const register = SECOND_ARGUMENT[process.arch];
  if (register === undefined) throw new Error(`--record: registers of ${process.arch} are not known`);
  const words = [0, 1, 2, 3].map((i) => `k${i}=+${KEY_OFFSET + 8 * i}(${register}):x64`).join(' ');
  const { status, bytes } = await shell.run(
    `cd ${TRACING} || exit 1; echo 0 >events/kprobes/${PROBE}/enable; echo >kprobe_events; ` +
      `echo 'p:${PROBE} wireguard:wg_index_hashtable_insert ${words}' >kprobe_events && echo 1 >events/kprobes/${PROBE}/enable && echo >trace`,
    40,
  );
  if (status !== 0) throw new Error(`--record: the kernel takes no probe: ${bytes.toString('utf8').trim()}`);
}

/** Private keys since `startProbe`, in order. */
export async function readProbe(shell: Shell): Promise<Buffer[]> {
  const { bytes } = await shell.run(`cat ${TRACING}/trace`, 40);
  return parseTrace(bytes.toString('utf8'));
}

export function parseTrace(text: string): Buffer[] {
  return text.split('\n').flatMap((line) => {
    if (!line.includes(`${PROBE}:`)) return [];
    const words = [...line.matchAll(/\bk[0-3]=0x([0-9a-f]{1,16})/g)].map((match) => BigInt(`0x${match[1]}`));
    if (words.length !== 4) return [];
    const key = Buffer.alloc(32);
    words.forEach((word, i) => key.writeBigUInt64LE(word, 8 * i));
    return [key];
  });
}

/** PKCS #8 of an X25519 key is this, then the key (RFC 8410, section 7). */
const PKCS8 = Buffer.from('302e020100300506032b656e04220420', 'hex');

/** @returns the public key, in base64 */
export function publicOf(privateKey: Uint8Array): string {
  const key = createPrivateKey({ key: Buffer.concat([PKCS8, privateKey]), format: 'der', type: 'pkcs8' });
  return Buffer.from(createPublicKey(key).export({ format: 'jwk' }).x!, 'base64url').toString('base64');
}
