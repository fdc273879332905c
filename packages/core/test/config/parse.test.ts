import { describe, expect, test } from '@jest/globals';
import { formatPrefix } from '../../src/address/ip.js';
import { formatKey, parseKey } from '../../src/config/key.js';
import { parseConfig } from '../../src/config/parse.js';
import { isWirestreamError, type WirestreamError } from '../../src/device/errors.js';

const KEY_A = 'yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk=';
const KEY_B = 'xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=';
const KEY_C = 'TrMvSoP4jYQlY6RIzBgbssQqY3vxI2Pi+y71lOWWXX0=';

const parse = (text: string, requirePrivateKey = true) => parseConfig(text, { file: 'wg0.conf', requirePrivateKey });

function failure(text: string): WirestreamError {
  try {
    parse(text);
  } catch (error) {
    if (isWirestreamError(error)) return error;
    throw error;
  }
  throw new Error('nothing was wrong');
}

const IFACE = `[Interface]\nPrivateKey = ${KEY_A}\n`;

describe('what a configuration file says', () => {
  test('every key, in any case, with comments and white space', () => {
    const { config, warnings, peerLines } = parse(`\ufeff# home
  [INTERFACE]   # this side
privatekey=${KEY_A}# comment right behind
\tListenPort =  51820\r
FwMark = 0xCA6C
Address = 10.0.0.1/24, fd00::1/64
Address = 10.9.0.1
DNS = 10.0.0.53, fd00::53, corp.example
MTU = 1380
Table = off
PreUp = echo "pre = %i"
PostUp = one; PostUp = two
PostUp = three
PreDown = four
PostDown = five
SaveConfig = TRUE
Transport = TCP

[peer]
PublicKey = ${KEY_B}
PresharedKey = ${KEY_C}
AllowedIPs = 10.0.0.2, 10.1.2.3/16,fd00::2/128
AllowedIPs =
AllowedIPs = 0.0.0.0/0
Endpoint = vpn.example.com:51820
PersistentKeepalive = 25
transport = udp
[Peer]
PublicKey = ${KEY_C}
Endpoint = [fe80::1%eth0]:1
PersistentKeepalive = off
`);
    expect(warnings).toEqual([]);
    const { interface: iface, peers } = config;
    expect(formatKey(iface.privateKey!)).toBe(KEY_A);
    expect(iface).toMatchObject({
      listenPort: 51820,
      fwmark: 0xca6c,
      transport: 'tcp',
      addresses: [
        { bytes: Uint8Array.of(10, 0, 0, 1), length: 24 },
        { bytes: Uint8Array.of(0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1), length: 64 },
        { bytes: Uint8Array.of(10, 9, 0, 1), length: 32 },
      ],
      dns: ['10.0.0.53', 'fd00::53'],
      dnsSearch: ['corp.example'],
      mtu: 1380,
      table: 'off',
      preUp: ['echo "pre = %i"'],
      postUp: ['one; PostUp = two', 'three'],
      preDown: ['four'],
      postDown: ['five'],
      saveConfig: true,
    });
    expect(peers).toHaveLength(2);
    expect(formatKey(peers[0]!.publicKey)).toBe(KEY_B);
    expect(formatKey(peers[0]!.presharedKey!)).toBe(KEY_C);
    expect(peers[0]!.allowedIps.map(formatPrefix)).toEqual(['10.0.0.2/32', '10.1.0.0/16', 'fd00::2/128', '0.0.0.0/0']);
    expect(peers[0]).toMatchObject({
      endpoint: { host: 'vpn.example.com', port: 51820 },
      persistentKeepalive: 25,
      transport: 'udp',
    });
    expect(peers[1]).toMatchObject({
      endpoint: { host: 'fe80::1%eth0', port: 1 },
      persistentKeepalive: 0,
      allowedIps: [],
    });
    expect(peers[1]).not.toHaveProperty('transport');
    expect(peerLines).toEqual([
      { section: 19, endpoint: 25 },
      { section: 28, endpoint: 30 },
    ]);
  });

  test('nothing that was not said is there', () => {
    const { config } = parse('[Interface]', false);
    expect(config).toEqual({
      interface: {
        addresses: [],
        dns: [],
        dnsSearch: [],
        preUp: [],
        postUp: [],
        preDown: [],
        postDown: [],
        saveConfig: false,
      },
      peers: [],
    });
  });

  test.each([
    ['FwMark = off', { fwmark: 0 }],
    ['FwMark = 4294967295', { fwmark: 4294967295 }],
    ['ListenPort = 0', { listenPort: 0 }],
    ['Table = auto', { table: 'auto' }],
    ['Table = 0x10', { table: '16' }],
    ['Table = main', { table: 'main' }],
    ['SaveConfig = false', { saveConfig: false }],
  ])('%s', (line, expected) => {
    expect(parse(IFACE + line).config.interface).toMatchObject(expected);
  });

  test.each([
    ['192.0.2.1:1', '192.0.2.1', 1],
    ['host_1.example.:65535', 'host_1.example.', 65535],
    ['[2001:db8::1]:443', '2001:db8::1', 443],
    ['2001:db8::1:443', '2001:db8::1', 443],
    ['bücher.example:7', 'bücher.example', 7],
  ])('Endpoint = %s', (text, host, port) => {
    const { config } = parse(`${IFACE}[Peer]\nPublicKey=${KEY_B}\nEndpoint = ${text}`);
    expect(config.peers[0]!.endpoint).toEqual({ host, port });
  });
});

describe('what is surely a mistake, but does no harm, is a warning', () => {
  test('a single value given twice counts the second time', () => {
    const { config, warnings } = parse(`${IFACE}MTU = 1400\nMTU = 1300`);
    expect(config.interface.mtu).toBe(1300);
    expect(warnings).toEqual(['wg0.conf:4: MTU is given again; this one counts']);
  });

  test('the same key of two peers is no repetition', () => {
    const peer = (key: string) => `[Peer]\nPublicKey=${key}\nEndpoint=1.2.3.4:5\n`;
    expect(parse(IFACE + peer(KEY_B) + peer(KEY_C)).warnings).toEqual([]);
  });

  test('a range that two peers claim, however it is written', () => {
    const peer = (key: string, ips: string) => `[Peer]\nPublicKey=${key}\nAllowedIPs=${ips}\n`;
    const { warnings } = parse(IFACE + peer(KEY_B, '10.0.0.0/8, 10.0.0.0/8') + peer(KEY_C, '10.1.2.3/8'));
    expect(warnings).toEqual([
      'wg0.conf:6: AllowedIPs 10.0.0.0/8 belongs to an earlier peer, too; it goes to this one',
    ]);
  });
});

describe('errors name file and line and say what to do', () => {
  const peer = `${IFACE}[Peer]\nPublicKey = ${KEY_B}\n`;
  test.each([
    ['no key at all', '[Interface]\n', 'config-missing-key', 'wg0.conf:1: [Interface] has no PrivateKey', /genkey/],
    ['an empty file', '', 'config-missing-key', 'wg0.conf: no [Interface] section', /genkey/],
    [
      'a short key',
      `${IFACE}\n[Peer]\nPublicKey = abc=`,
      'config-bad-key',
      'wg0.conf:5: PublicKey is not a key (4 characters)',
      /base64/,
    ],
    [
      'no key behind the sign',
      '[Interface]\nPrivateKey =',
      'config-bad-key',
      'wg0.conf:2: PrivateKey is not a key (nothing)',
      /base64/,
    ],
    [
      'a peer without key',
      `${IFACE}[Peer]\nAllowedIPs = 10.0.0.0/8`,
      'config-missing-key',
      'wg0.conf:3: [Peer] has no PublicKey',
      /pubkey/,
    ],
    [
      'bad CIDR',
      `${peer}AllowedIPs = 10.0.0.0/33`,
      'config-bad-value',
      "wg0.conf:5: AllowedIPs: '10.0.0.0/33' is not an address or range, such as 10.0.0.2/32 or fd00::/64",
      undefined,
    ],
    [
      'bad address',
      `${IFACE}Address = 10.0.0.256/24`,
      'config-bad-value',
      "wg0.conf:3: Address: '10.0.0.256/24' is not an address or range, such as 10.0.0.2/32 or fd00::/64",
      undefined,
    ],
    [
      'the same peer again',
      `${peer}\n[Peer]\nPublicKey=${KEY_B}`,
      'config-duplicate-peer',
      'wg0.conf:6: duplicate peer: the same PublicKey as in line 3',
      /one \[Peer\]/,
    ],
    [
      'a misspelt key',
      `${peer}AlowedIPs = ::/0`,
      'config-unknown-key',
      'wg0.conf:5: unknown key AlowedIPs in [Peer]',
      /^did you mean AllowedIPs\?$/,
    ],
    [
      'a key of the other section',
      `${peer}MTU = 1420`,
      'config-unknown-key',
      'wg0.conf:5: unknown key MTU in [Peer]',
      /^MTU belongs into \[Interface\]$/,
    ],
    [
      'a key like no other',
      `${peer}Colour = red`,
      'config-unknown-key',
      'wg0.conf:5: unknown key Colour in [Peer]',
      /^known here: PublicKey, /,
    ],
    [
      'a port too large',
      `${IFACE}ListenPort = 65536`,
      'config-bad-value',
      "wg0.conf:3: ListenPort: '65536' is not a port (0–65535)",
      undefined,
    ],
    [
      'a port of letters',
      `${IFACE}ListenPort = http`,
      'config-bad-value',
      "wg0.conf:3: ListenPort: 'http' is not a port (0–65535)",
      undefined,
    ],
    [
      'an endpoint without port',
      `${peer}Endpoint = 1.2.3.4`,
      'config-bad-value',
      "wg0.conf:5: Endpoint '1.2.3.4': no port",
      /HOST:PORT/,
    ],
    [
      'an endpoint with port 0',
      `${peer}Endpoint = 1.2.3.4:0`,
      'config-bad-value',
      "wg0.conf:5: Endpoint '1.2.3.4:0': port is not 1–65535",
      /HOST:PORT/,
    ],
    [
      'an endpoint that is no host',
      `${peer}Endpoint = 1.2.3:80`,
      'config-bad-value',
      "wg0.conf:5: Endpoint '1.2.3:80': neither a host name nor an IP address",
      /HOST:PORT/,
    ],
    [
      'an endpoint with a broken IPv6 address',
      `${peer}Endpoint = [fd00::1::2]:80`,
      'config-bad-value',
      "wg0.conf:5: Endpoint '[fd00::1::2]:80': not an IPv6 address",
      /\[ADDRESS\]:PORT/,
    ],
    [
      'an unknown transport',
      `${IFACE}Transport = sctp`,
      'config-bad-value',
      "wg0.conf:3: Transport: 'sctp' is not tcp, udp or auto",
      undefined,
    ],
    ['no value', `${IFACE}MTU =`, 'config-bad-value', 'wg0.conf:3: MTU: no value is not an MTU (68–65455)', undefined],
    [
      'a key before any section',
      'MTU = 1\n',
      'config-syntax',
      'wg0.conf:1: MTU stands before any section',
      /\[Interface\]/,
    ],
    ['an unknown section', '[Peers]', 'config-syntax', 'wg0.conf:1: unknown section [Peers]', /\[Peer\]/],
    ['a line that is neither', `${IFACE}hello`, 'config-syntax', 'wg0.conf:3: neither a section nor KEY = VALUE', /#/],
    ['a binary file', '[Interface]\n\u0000\u0001=', 'config-syntax', 'wg0.conf:2: not text', /wg-quick/],
    ['a huge file', '#'.repeat((16 << 20) + 1), 'config-too-large', 'wg0.conf: larger than 16 MiB', /wg-quick/],
  ])('%s', (_, text, code, message, hint) => {
    const error = failure(text);
    expect({ code: error.code, message: error.message }).toEqual({ code, message });
    if (hint === undefined) expect(error.hint).toBeUndefined();
    else expect(error.hint).toMatch(hint);
  });

  test.each([
    ['alone on a line', KEY_A],
    ['at the wrong side', `${KEY_A} = PrivateKey`],
    ['with a letter lost', `PrivateKey = ${KEY_A.slice(1)}`],
    ['under a misspelt name', `PrivatKey = ${KEY_A}`],
    ['without sign', `PrivateKey ${KEY_A}`],
  ])('a private key %s does not appear in the message', (_, line) => {
    const error = failure(`[Interface]\n${line}\n`);
    expect(`${error.message} ${error.hint}`).not.toContain(KEY_A.slice(2, 12));
  });

  test('base64 with bits beyond the 32 bytes is no key', () => {
    expect(parseKey(KEY_A)).not.toBeNull();
    expect(parseKey(KEY_A.replace('mk=', 'ml='))).toBeNull();
  });
});
