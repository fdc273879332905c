import { parsePrefix } from '@wirestream/core/address/ip';
import type { DeviceSettings, PeerSettings, Transport } from '@wirestream/core/device/settings';
import { nativeCrypto } from '@wirestream/core/noise/native';

/** Who is who under hostile load: number 1 is attacked, its genuine peers have the numbers from 2 on, each at 10.0.0.NUMBER. */

/** Genuine peers that the attacked device knows. */
export const PEERS = 4;

const PAIRS = new Map<number, { privateKey: Uint8Array; publicKey: Uint8Array }>();

export function keysOf(number: number): { privateKey: Uint8Array; publicKey: Uint8Array } {
  let pair = PAIRS.get(number);
  if (pair === undefined) {
    const privateKey = new Uint8Array(32).fill(number & 255);
    privateKey[1] = number >> 8;
    pair = { privateKey, publicKey: nativeCrypto.publicKey(privateKey) };
    PAIRS.set(number, pair);
  }
  return pair;
}

export function peerSettings(number: number, more: Partial<PeerSettings> = {}): PeerSettings {
  return {
    publicKey: keysOf(number).publicKey,
    allowedIps: [{ prefix: parsePrefix(`10.0.${number >> 8}.${number & 255}/32`)! }],
    ...more,
  };
}

/** What the attacked device begins with. */
export function victimSettings(transport: Transport): DeviceSettings {
  const peers = Array.from({ length: PEERS }, (_, i) => peerSettings(2 + i));
  return { privateKey: keysOf(1).privateKey, transport, listenPort: 0, peers };
}
