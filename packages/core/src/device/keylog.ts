import { formatKey } from '../config/key.js';

/** What a Wireshark key log says of a device before any handshake: without it nobody reads the initiations that it answers. */
export function staticKeyLines(localPrivate: Uint8Array, remotePublics: readonly Uint8Array[]): string {
  const remotes = remotePublics.map((key) => `REMOTE_STATIC_PUBLIC_KEY = ${formatKey(key)}\n`);
  return `LOCAL_STATIC_PRIVATE_KEY = ${formatKey(localPrivate)}\n${remotes.join('')}`;
}

/**
 * What a Wireshark key log says of one handshake (Wireshark's wg.keylog_file): our static key, the peer's, the ephemeral key just made, and the
 * preshared key, which belongs to the ephemeral key before it.
 */
export function keyLogLines(
  localPrivate: Uint8Array,
  remotePublic: Uint8Array,
  ephemeralPrivate: Uint8Array,
  presharedKey: Uint8Array | null,
): string {
  const lines = [
    `LOCAL_STATIC_PRIVATE_KEY = ${formatKey(localPrivate)}`,
    `REMOTE_STATIC_PUBLIC_KEY = ${formatKey(remotePublic)}`,
    `LOCAL_EPHEMERAL_PRIVATE_KEY = ${formatKey(ephemeralPrivate)}`,
  ];
  if (presharedKey !== null) lines.push(`PRESHARED_KEY = ${formatKey(presharedKey)}`);
  return lines.map((line) => `${line}\n`).join('');
}
