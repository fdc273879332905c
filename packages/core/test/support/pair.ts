import type { Endpoint } from '../../src/address/endpoint.js';
import { parsePrefix } from '../../src/address/ip.js';
import type { DeviceSettings, Transport } from '../../src/device/settings.js';
import { portableCrypto } from '../../src/noise/portable.js';

/** An IPv4 packet from 10.0.0.`from` to 10.0.0.`to`, `length` bytes in all, filled with `fill`. */
export function ipv4Packet(from: number, to: number, length: number, fill = 0x5a): Uint8Array {
  const bytes = new Uint8Array(length).fill(fill);
  bytes.set([0x45, 0, length >> 8, length & 0xff, 0, 0, 0, 0, 64, 1, 0, 0, 10, 0, 0, from, 10, 0, 0, to]);
  return bytes;
}

/** Settings of device 1 (10.0.0.1) or 2 (10.0.0.2) of a pair that has the other as its only peer. */
export function pairSettings(
  mine: 1 | 2,
  options: {
    endpoint?: Endpoint;
    transport?: Transport;
    presharedKey?: Uint8Array;
    listenPort?: number;
    persistentKeepalive?: number;
  } = {},
): DeviceSettings {
  const theirs = 3 - mine;
  const { endpoint, transport = 'tcp', presharedKey, listenPort = 0, persistentKeepalive = 0 } = options;
  return {
    privateKey: new Uint8Array(32).fill(mine),
    transport,
    listenPort,
    peers: [
      {
        publicKey: portableCrypto.publicKey(new Uint8Array(32).fill(theirs)),
        allowedIps: [{ prefix: parsePrefix(`10.0.0.${theirs}/32`)! }],
        persistentKeepalive,
        ...(endpoint === undefined ? {} : { endpoint }),
        ...(presharedKey === undefined ? {} : { presharedKey }),
      },
    ],
  };
}
