import { isIP } from 'node:net';
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { endpointOf, formatEndpoint, parseEndpoint, sourceKey } from '../../src/address/endpoint.js';
import { formatIp, formatPrefix, parseIp, parsePrefix } from '../../src/address/ip.js';

describe('IP addresses', () => {
  test.each([
    // RFC 4291 §2.2 on the way in, RFC 5952 §4 on the way out
    ['2001:DB8:0:0:8:800:200C:417A', '2001:db8::8:800:200c:417a'],
    ['0:0:0:0:0:0:0:1', '::1'],
    ['::', '::'],
    ['1::', '1::'],
    ['2001:db8:0:1:1:1:1:1', '2001:db8:0:1:1:1:1:1'],
    ['2001:0:0:1:0:0:0:1', '2001:0:0:1::1'],
    ['2001:db8:0:0:1:0:0:1', '2001:db8::1:0:0:1'],
    ['::ffff:192.0.2.1', '::ffff:c000:201'],
    ['64:ff9b::192.0.2.33', '64:ff9b::c000:221'],
    ['192.0.2.255', '192.0.2.255'],
  ])('%s is %s', (text, canonical) => {
    expect(formatIp(parseIp(text)!)).toBe(canonical);
  });

  test.each([
    '1.2.3',
    '1.2.3.4.5',
    '256.1.1.1',
    '01.2.3.4',
    '1.2.3.4 ',
    '',
    ':',
    ':::',
    '1:2:3:4:5:6:7',
    '1:2:3:4:5:6:7:8:9',
    '1::2::3',
    '12345::',
    '::1.2.3',
    '::1.2.3.4:5',
    'g::',
    '1:2:3:4:5:6:7:8::',
    'fe80::1%eth0',
  ])('%p is none', (text) => {
    expect(parseIp(text)).toBeNull();
  });

  test('what is an address, and which, is as Node and its URLs have it', () => {
    const text = fc.oneof(
      fc.string({ unit: fc.constantFrom(...'0012579aF::.'), maxLength: 20 }),
      fc
        .array(fc.constantFrom('0', '1', 'ff', '0a', 'bcde', '', '1.2.3.4', '255', '256', '01'), { maxLength: 9 })
        .chain((parts) => fc.constantFrom(parts.join(':'), parts.join('.'), `::${parts.join(':')}`, parts.join('::'))),
    );
    fc.assert(
      fc.property(text, (ip) => {
        const bytes = parseIp(ip);
        expect(bytes?.length ?? 0).toBe({ 0: 0, 4: 4, 6: 16 }[isIP(ip)]);
        if (bytes?.length === 16) expect(`[${formatIp(bytes)}]`).toBe(new URL(`http://[${ip}]`).hostname);
        if (bytes?.length === 4) expect(formatIp(bytes)).toBe(ip);
      }),
      { numRuns: 2000 },
    );
  });

  test('text and bytes go back and forth', () => {
    const bytes = fc.oneof(
      fc.uint8Array({ minLength: 4, maxLength: 4 }),
      fc.uint8Array({ minLength: 16, maxLength: 16 }),
    );
    const sparse = fc
      .array(fc.constantFrom(0, 0, 0, 1, 255), { minLength: 16, maxLength: 16 })
      .map((a) => Uint8Array.from(a));
    fc.assert(fc.property(fc.oneof(bytes, sparse), (ip) => expect(parseIp(formatIp(ip))).toEqual(ip)));
  });
});

test.each([
  ['10.1.2.3/8', '10.0.0.0/8'],
  ['10.1.2.3', '10.1.2.3/32'],
  ['255.255.255.255/31', '255.255.255.254/31'],
  ['1.2.3.4/0', '0.0.0.0/0'],
  ['fd00::1/64', 'fd00::/64'],
  ['fd00:8000::/17', 'fd00:8000::/17'],
  ['fd00:8000::/16', 'fd00::/16'],
  ['::1/0', '::/0'],
])('prefix %s is %s', (text, expected) => {
  expect(formatPrefix(parsePrefix(text)!)).toBe(expected);
});

test.each(['10.0.0.0/33', '10.0.0.0/', '10.0.0.0/-1', '::/129', '10.0.0.0/ 8', '10.0.0.0/8/8', 'x/8'])(
  '%p is no prefix',
  (text) => {
    expect(parsePrefix(text)).toBeNull();
  },
);

describe('endpoints', () => {
  test.each(['192.0.2.1:1', '[2001:db8::1]:51820', '[fe80::1%3]:65535'])('%s goes back and forth', (text) => {
    expect(formatEndpoint(parseEndpoint(text)!)).toBe(text);
  });

  test.each([
    '192.0.2.1',
    '192.0.2.1:0',
    '192.0.2.1:65536',
    '2001:db8::1:51820',
    '[192.0.2.1]:5',
    '[::1]',
    'host:51820',
    '192.0.2.1:',
  ])('%p is none', (text) => {
    expect(parseEndpoint(text)).toBeNull();
  });

  test('an IPv4-mapped address is IPv4', () => {
    expect(endpointOf(parseIp('::ffff:192.0.2.1')!, 7)).toEqual({ family: 4, address: '192.0.2.1', port: 7 });
  });

  test('strangers are counted by IPv4 address and by IPv6 /64', () => {
    const key = (text: string) => sourceKey(parseEndpoint(text)!);
    expect(key('192.0.2.1:1')).toBe(key('192.0.2.1:2'));
    expect(key('192.0.2.1:1')).not.toBe(key('192.0.2.2:1'));
    expect(key('[2001:db8::1]:1')).toBe(key('[2001:db8::ffff:0:0:9]:2'));
    expect(key('[2001:db8::1]:1')).not.toBe(key('[2001:db8:0:1::1]:1'));
  });
});
