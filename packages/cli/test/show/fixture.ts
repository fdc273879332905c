import { parseEndpoint } from '@wirestream/core/address/endpoint';
import { parsePrefix } from '@wirestream/core/address/ip';
import type { ConnectionSnapshot, DeviceSnapshot, PeerSnapshot } from '@wirestream/core/device/snapshot';

export const key = (byte: number): Uint8Array => new Uint8Array(32).fill(byte);

export const BARE_PEER: PeerSnapshot = {
  publicKey: key(1),
  presharedKey: null,
  endpoint: null,
  allowedIps: [],
  lastHandshake: 0,
  rxBytes: 0,
  txBytes: 0,
  persistentKeepalive: 0,
  transport: 'udp',
  connections: [],
  drops: {},
};

export const BARE_DEVICE: DeviceSnapshot = {
  privateKey: null,
  publicKey: null,
  listenPort: 0,
  fwmark: 0,
  transport: 'udp',
  peers: [],
  pending: { size: 0, refusals: {} },
  drops: {},
};

export const CONNECTION: ConnectionSnapshot = {
  id: 3,
  direction: 'outbound',
  state: 'authenticated',
  local: parseEndpoint('192.0.2.2:40112'),
  remote: parseEndpoint('192.0.2.1:51820')!,
  ageMs: 63_000,
  lastHandshakeAgeMs: 5_000,
  queuedBytes: 0,
  oldestQueuedMs: 0,
  resyncs: 0,
  skippedBytes: 0,
  active: true,
  drops: {},
};

/** A device with a peer for every unit and plural that `show` can print. @param now ms since the Unix epoch */
export function richDevice(now: number): DeviceSnapshot {
  const day = 86_400_000;
  const handshakes = [
    0,
    now - 63_000,
    now - 7000,
    now - 3_600_000,
    now + 500_000_000,
    0,
    now - 90_061_000,
    now - 367 * day - 7_384_000,
    now - 2 * 365 * day,
  ];
  const amounts = [0, 1, 1023, 1024, 1_048_575, 5_000_000, 2 ** 30, 2 ** 40 * 1.5, 2 ** 50];
  return {
    ...BARE_DEVICE,
    privateKey: key(0x48),
    listenPort: 51820,
    fwmark: 0xca6c,
    peers: handshakes.map((lastHandshake, i) => ({
      ...BARE_PEER,
      publicKey: key(i + 1),
      presharedKey: i % 2 === 0 ? key(0x70 + i) : null,
      endpoint: i % 3 === 0 ? null : parseEndpoint(i % 3 === 1 ? `192.0.2.${i}:5${i}` : `[2001:db8::${i}]:51820`),
      allowedIps: [`10.0.${i}.0/24`, `fd00:${i}::/64`, '::/0'].slice(0, i % 4).map((text) => parsePrefix(text)!),
      lastHandshake,
      rxBytes: amounts[i]!,
      txBytes: amounts[(i * 5) % amounts.length]!,
      persistentKeepalive: [0, 1, 25, 60, 61, 3600, 3661, 7322, 65535][i]!,
    })),
  };
}
