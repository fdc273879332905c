import fc from 'fast-check';
import type { Transport, DeviceSettings, PeerSettings } from '@wirestream/core/device/settings';
import type { DeviceSnapshot, PeerSnapshot } from '@wirestream/core/device/snapshot';
import { endpoint, prefix } from './addresses.js';

/** Requests and states of the cross-platform configuration protocol. */

/** Never all zero: on the wire that means that there is none. */
const key = fc.uint8Array({ minLength: 32, maxLength: 32 }).map((bytes) => {
  if (bytes.every((byte) => byte === 0)) bytes[31] = 1;
  return bytes;
});
const maybeKey = fc.oneof(fc.constant(null), key);
const transport = fc.constantFrom('tcp' as const, 'udp' as const, 'auto' as const);
const truth = fc.constant(true as const);

const change = fc.record({ prefix, remove: truth }, { requiredKeys: ['prefix'], noNullPrototype: true });

const peerSettings: fc.Arbitrary<PeerSettings> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record(
      {
        publicKey: key,
        updateOnly: truth,
        presharedKey: maybeKey,
        endpoint,
        transport: fc.oneof(fc.constant(null), transport),
        extensions: fc.oneof(fc.constant(null), fc.boolean()),
        persistentKeepalive: fc.nat({ max: 65_535 }),
        replaceAllowedIps: truth,
        allowedIps: fc.array(change, { maxLength: 4 }),
      },
      { requiredKeys: ['publicKey', 'allowedIps'], noNullPrototype: true },
    ),
  },
  {
    weight: 1,
    arbitrary: key.map((publicKey) => ({ publicKey, remove: true, allowedIps: [] })),
  },
);

export const settings: fc.Arbitrary<DeviceSettings> = fc.record(
  {
    privateKey: maybeKey,
    listenPort: fc.nat({ max: 65_535 }),
    fwmark: fc.nat({ max: 0xffff_ffff }),
    transport,
    extensions: fc.boolean(),
    replacePeers: truth,
    peers: fc.array(peerSettings, { maxLength: 4 }),
  },
  { requiredKeys: ['peers'], noNullPrototype: true },
);

const count = fc.oneof(fc.nat({ max: 1000 }), fc.nat({ max: 2 ** 52 }));

function peerSnapshot(fallback: Transport): fc.Arbitrary<PeerSnapshot> {
  return fc.record(
    {
      publicKey: key,
      presharedKey: maybeKey,
      endpoint: fc.oneof(fc.constant(null), endpoint),
      allowedIps: fc.array(prefix, { maxLength: 4 }),
      lastHandshake: fc.oneof(fc.constant(0), fc.nat({ max: 2 ** 40 })),
      rxBytes: count,
      txBytes: count,
      persistentKeepalive: fc.nat({ max: 65_535 }),
      transport: fc.oneof(fc.constant(fallback), transport),
      connections: fc.constant([]),
      drops: fc.constant({}),
    },
    { noNullPrototype: true },
  );
}

export const snapshot: fc.Arbitrary<DeviceSnapshot> = transport.chain((device) =>
  fc.record(
    {
      privateKey: maybeKey,
      publicKey: fc.constant(null),
      listenPort: fc.nat({ max: 65_535 }),
      fwmark: fc.nat({ max: 0xffff_ffff }),
      transport: fc.constant(device),
      peers: fc.array(peerSnapshot(device), { maxLength: 3 }),
      pending: fc.constant({ size: 0, refusals: {} }),
      drops: fc.constant({}),
    },
    { noNullPrototype: true },
  ),
);

/** What clients may send: the right words in any order, broken off anywhere. */
export const uapiText: fc.Arbitrary<string> = fc
  .array(
    fc.oneof(
      fc.constantFrom('get=1', 'set=1', '', '', 'errno=0', 'errno=-22', '='),
      fc
        .tuple(
          fc.constantFrom(
            ...['private_key', 'public_key', 'preshared_key', 'listen_port', 'fwmark', 'replace_peers', 'remove'],
            ...['update_only', 'endpoint', 'persistent_keepalive_interval', 'replace_allowed_ips', 'allowed_ip'],
            ...['protocol_version', 'transport', 'wombat', 'rx_bytes', 'last_handshake_time_sec'],
          ),
          fc.oneof(
            fc.constantFrom('true', 'false', '1', '0', '65535', '65536', '-1', 'tcp', 'udp', 'default', '0'.repeat(64)),
            fc.constantFrom(
              'ab'.repeat(32),
              '10.0.0.0/8',
              '-fd00::/8',
              '::/0',
              '10.0.0.1',
              '1.2.3.4:5',
              '[::1]:2',
              '[fe80::1%2]:3',
            ),
            fc.string({ maxLength: 12 }),
          ),
        )
        .map(([name, value]) => `${name}=${value}`),
      fc.string({ maxLength: 12 }),
    ),
    { maxLength: 24, size: 'max' },
  )
  .map((lines) => lines.join('\n'));
