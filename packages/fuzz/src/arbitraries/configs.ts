import fc from 'fast-check';
import { formatIp } from '@wirestream/core/address/ip';
import type {
  Config,
  EndpointName,
  InterfaceAddress,
  InterfaceConfig,
  PeerConfig,
} from '@wirestream/core/config/config';
import { ip, port, prefix } from './addresses.js';

/** Configurations in the form that a parser gives them back in. */

const key = fc.uint8Array({ minLength: 32, maxLength: 32 });
const transport = fc.constantFrom('tcp' as const, 'udp' as const, 'auto' as const);

const address: fc.Arbitrary<InterfaceAddress> = fc
  .tuple(ip, fc.nat({ max: 128 }))
  .map(([bytes, n]) => ({ bytes, length: Math.min(n, bytes.length * 8) }));

const hostName = fc.stringMatching(/^[a-z][a-z0-9-]{0,10}[a-z0-9](\.[a-z0-9]{1,8}){0,2}$/);

export const endpointName: fc.Arbitrary<EndpointName> = fc.record(
  {
    host: fc.oneof(
      hostName,
      ip.map((bytes) => formatIp(bytes)),
      fc.constant('fe80::1%eth0'),
    ),
    port,
  },
  { noNullPrototype: true },
);

/** A shell command as it stands behind `=`: not empty, no comment sign, no space around it. */
const command = fc.stringMatching(/^[a-z][a-zA-Z0-9 %"'$/=;&|.-]{0,30}[a-z;]$/);
const commands = fc.array(command, { maxLength: 2 });

const iface: fc.Arbitrary<InterfaceConfig> = fc.record(
  {
    privateKey: key,
    listenPort: fc.nat({ max: 65_535 }),
    fwmark: fc.nat({ max: 0xffff_ffff }),
    transport,
    extensions: fc.boolean(),
    mtu: fc.integer({ min: 68, max: 65_455 }),
    table: fc.oneof(fc.constantFrom('auto', 'off', 'main'), fc.integer({ min: 1, max: 0xffff_ffff }).map(String)),
    addresses: fc.array(address, { maxLength: 3 }),
    dns: fc.array(
      ip.map((bytes) => formatIp(bytes)),
      { maxLength: 2 },
    ),
    dnsSearch: fc.array(hostName, { maxLength: 2 }),
    preUp: commands,
    postUp: commands,
    preDown: commands,
    postDown: commands,
    saveConfig: fc.boolean(),
    saveAnnounced: fc.boolean(),
  },
  {
    requiredKeys: [
      'privateKey',
      'addresses',
      'dns',
      'dnsSearch',
      'preUp',
      'postUp',
      'preDown',
      'postDown',
      'saveConfig',
    ],
    noNullPrototype: true,
  },
);

const peer: fc.Arbitrary<PeerConfig> = fc.record(
  {
    publicKey: key,
    presharedKey: key,
    allowedIps: fc.array(prefix, { maxLength: 4 }),
    endpoint: endpointName,
    persistentKeepalive: fc.nat({ max: 65_535 }),
    transport,
    extensions: fc.boolean(),
  },
  { requiredKeys: ['publicKey', 'allowedIps'], noNullPrototype: true },
);

export const config: fc.Arbitrary<Config> = fc.record(
  {
    interface: iface,
    peers: fc.uniqueArray(peer, { maxLength: 4, selector: ({ publicKey }) => publicKey.join() }),
  },
  { noNullPrototype: true },
);

/** Bytes near the syntax: lines of the right words in any order, with anything in between. */
export const configText: fc.Arbitrary<string> = fc
  .array(
    fc.oneof(
      fc.constantFrom('[Interface]', '[Peer]', ' [ peer ] # x', '[interface', '[Wombat]', '', '#', '=', '\ufeff'),
      fc
        .tuple(
          fc.constantFrom(
            ...['PrivateKey', 'publickey', 'PRESHAREDKEY', 'AllowedIPs', 'Endpoint', 'Address', 'DNS', 'MTU', 'Table'],
            ...['ListenPort', 'FwMark', 'Transport', 'SaveConfig', 'PostUp', 'PersistentKeepalive', 'Wombat', 'Adress'],
          ),
          fc.constantFrom('=', ' = ', '', '\t=\t', '=='),
          fc.oneof(
            fc.constantFrom(
              'off',
              'auto',
              'tcp',
              'true',
              '10.0.0.1/24, fd00::1',
              '[::1]:1',
              'a.b:51820',
              '0x10',
              '1500',
            ),
            fc.constantFrom(
              'A'.repeat(43) + '=',
              '99999',
              '10.0.0.1/33',
              '[::1',
              ':',
              ',',
              'x:0',
              '1.2.3.4:5:6',
              '[fe80::1%e]:7',
            ),
            fc.string({ maxLength: 20 }),
          ),
        )
        .map((parts) => parts.join('')),
      fc.string({ unit: 'binary', maxLength: 30 }),
    ),
    { maxLength: 25, size: 'max' },
  )
  .map((lines) => lines.join('\n'));
