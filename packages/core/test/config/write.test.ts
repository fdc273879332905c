import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { formatIp, maskBits, type Prefix } from '../../src/address/ip.js';
import type { Config, InterfaceAddress, InterfaceConfig, PeerConfig } from '../../src/config/config.js';
import { formatHexKey, formatKey, parseHexKey, parseKey } from '../../src/config/key.js';
import { parseConfig } from '../../src/config/parse.js';
import { MTU_MAX, MTU_MIN } from '../../src/config/values.js';
import { formatConfig } from '../../src/config/write.js';
import { isWirestreamError } from '../../src/device/errors.js';

const key = fc.uint8Array({ minLength: 32, maxLength: 32 });
const ip = fc.oneof(fc.uint8Array({ minLength: 4, maxLength: 4 }), fc.uint8Array({ minLength: 16, maxLength: 16 }));
const address: fc.Arbitrary<InterfaceAddress> = ip.chain((bytes) =>
  fc.integer({ min: 0, max: bytes.length * 8 }).map((length) => ({ bytes, length })),
);
const prefix: fc.Arbitrary<Prefix> = address.map(({ bytes, length }) => ({ bytes: maskBits(bytes, length), length }));
const transport = fc.constantFrom('tcp' as const, 'udp' as const);
const name = fc.stringMatching(/^[a-z]([a-z0-9-]{0,10}[a-z0-9])?(\.[a-z][a-z0-9]{0,8}){0,3}$/);
const command = fc
  .string({ unit: 'grapheme' })
  .filter((text) => text.trim() === text && /^[^#\p{Cc}\ufffd]+$/u.test(text));
const commands = fc.array(command, { maxLength: 3 });
const endpoint = fc.record({
  host: fc.oneof(
    name,
    ip.map((bytes) => formatIp(bytes)),
    fc.constant('fe80::1%wlan0'),
  ),
  port: fc.integer({ min: 1, max: 65535 }),
});

const iface = fc.record(
  {
    privateKey: key,
    listenPort: fc.integer({ min: 0, max: 65535 }),
    fwmark: fc.integer({ min: 0, max: 0xffffffff }),
    transport,
    addresses: fc.array(address, { maxLength: 4 }),
    dns: fc.array(
      ip.map((bytes) => formatIp(bytes)),
      { maxLength: 3 },
    ),
    dnsSearch: fc.array(name, { maxLength: 3 }),
    mtu: fc.integer({ min: MTU_MIN, max: MTU_MAX }),
    table: fc.oneof(fc.constantFrom('off', 'auto', 'main'), fc.integer({ min: 1, max: 0xffffffff }).map(String)),
    preUp: commands,
    postUp: commands,
    preDown: commands,
    postDown: commands,
    saveConfig: fc.boolean(),
    saveAnnounced: fc.boolean(),
  },
  { requiredKeys: ['addresses', 'dns', 'dnsSearch', 'preUp', 'postUp', 'preDown', 'postDown', 'saveConfig'] },
) as fc.Arbitrary<InterfaceConfig>;

const peer = fc.record(
  {
    publicKey: key,
    presharedKey: key,
    allowedIps: fc.array(prefix, { maxLength: 5 }),
    endpoint,
    persistentKeepalive: fc.integer({ min: 0, max: 65535 }),
    transport,
  },
  { requiredKeys: ['publicKey', 'allowedIps'] },
) as fc.Arbitrary<PeerConfig>;

const config: fc.Arbitrary<Config> = fc.record({
  interface: iface,
  peers: fc.uniqueArray(peer, { maxLength: 4, selector: ({ publicKey }) => formatKey(publicKey) }),
});

describe('formatConfig', () => {
  test('what is written reads as the same', () => {
    fc.assert(
      fc.property(config, (value) => {
        const { config: again } = parseConfig(formatConfig(value), { file: 'x', requirePrivateKey: false });
        expect(again).toEqual(plain(value));
      }),
    );
  });

  test('the text, once', () => {
    const text = `[Interface]
PrivateKey = yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk=
ListenPort = 51820
FwMark = 0xca6c
Transport = tcp
Address = 10.0.0.1/24, fd00::1/64
DNS = 10.0.0.53, corp.example
MTU = 1380
Table = off
PostUp = iptables -A FORWARD -i %i -j ACCEPT
SaveConfig = true

[Peer]
PublicKey = xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=
AllowedIPs = 10.0.0.2/32, fd00::2/128
Endpoint = [2001:db8::1]:51820
PersistentKeepalive = 25
`;
    expect(formatConfig(parseConfig(text, { file: 'x' }).config)).toBe(text);
  });

  test('any text at all is either a configuration or an error with a hint of where', () => {
    const line = fc.oneof(
      fc.string(),
      fc.constantFrom('[Interface]', '[Peer]', 'Address=', 'Endpoint=[]:1', 'PublicKey', 'AllowedIPs = /', 'Table=-'),
    );
    fc.assert(
      fc.property(fc.array(line), (lines) => {
        try {
          parseConfig(lines.join('\n'), { file: 'x.conf', requirePrivateKey: false });
        } catch (error) {
          if (!isWirestreamError(error)) throw error;
          expect(error.message).toMatch(/^x\.conf:\d+: [^\n]+$/);
        }
      }),
    );
  });
});

describe('keys as text', () => {
  test('there and back, equal to what Node makes of it', () => {
    fc.assert(
      fc.property(key, (bytes) => {
        expect(formatKey(bytes)).toBe(Buffer.from(bytes).toString('base64'));
        expect(parseKey(formatKey(bytes))).toEqual(bytes);
        expect(formatHexKey(bytes)).toBe(Buffer.from(bytes).toString('hex'));
        expect(parseHexKey(formatHexKey(bytes).toUpperCase())).toEqual(bytes);
      }),
    );
  });

  test('only the one text that would be written is read', () => {
    fc.assert(
      fc.property(fc.base64String({ minLength: 40, maxLength: 48 }), (text) => {
        const bytes = Buffer.from(text, 'base64');
        const isKey = bytes.length === 32 && bytes.toString('base64') === text;
        expect(parseKey(text)).toEqual(isKey ? Uint8Array.from(bytes) : null);
      }),
    );
  });
});

/** fast-check's records have a null prototype. */
function plain(value: Config): Config {
  return { interface: { ...value.interface }, peers: value.peers.map((p) => ({ ...p })) };
}
