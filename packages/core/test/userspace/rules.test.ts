import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { formatPrefix, parseIp } from '../../src/address/ip.js';
import { parseForward, parseRemoteForward, parseSocks5 } from '../../src/userspace/forward.js';
import { Policy } from '../../src/userspace/policy.js';
import { ALLOW_ALL, allows, formatAllow, isMartian, parseAllow } from '../../src/userspace/rules.js';

const ip = (text: string) => parseIp(text)!;

describe('--allow', () => {
  test.each([
    ['127.0.0.1:8080', '127.0.0.1:8080', '127.0.0.1', 8080],
    ['10.0.0.0/8:*', '10.0.0.0/8:*', '10.255.1.2', 1],
    ['[fd00::1]:80-90', '[fd00::1]:80-90', 'fd00::1', 90],
    ['[fd00::]/8:443', '[fd00::/8]:443', 'fdff::1', 443],
    ['[fd00::/8]:443', '[fd00::/8]:443', 'fdff::1', 443],
    ['*:53', '*:53', '2001:db8::1', 53],
    ['*:*', '*:*', '192.0.2.1', 65535],
    ['10.1.2.3/8:22', '10.0.0.0/8:22', '10.9.9.9', 22],
  ])('%s', (text, canonical, address, port) => {
    const rule = parseAllow(text);
    expect(formatAllow(rule)).toBe(canonical);
    expect(allows([rule], ip(address), port)).toBe(true);
  });

  test.each([
    '',
    '80',
    '127.0.0.1',
    '127.0.0.1:',
    '127.0.0.1:0',
    '127.0.0.1:70000',
    '127.0.0.1:90-80',
    'localhost:80',
    'fd00::1:80',
    '[10.0.0.1]:80',
    '10.0.0.0/33:80',
    '[fd00::/129]:1',
    '1.2.3.4:80-',
    '[fd00::1]80',
  ])('%j is refused with a hint', (text) => {
    expect(() => parseAllow(text)).toThrow(
      expect.objectContaining({ code: 'bad-allow', hint: expect.stringContaining('127.0.0.1:8080') }),
    );
  });

  test('a prefix allows exactly the addresses in it (against comparing bit by bit)', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ minLength: 4, maxLength: 4 }),
        fc.integer({ min: 0, max: 32 }),
        fc.uint8Array({ minLength: 4, maxLength: 4 }),
        fc.integer({ min: 0, max: 32 }),
        (base, length, other, keep) => {
          // Half of the addresses share some first bits with the prefix.
          const bits = (bytes: Uint8Array) => [...bytes].map((byte) => byte.toString(2).padStart(8, '0')).join('');
          const mixed = bits(base).slice(0, keep) + bits(other).slice(keep);
          const address = Uint8Array.from({ length: 4 }, (_, i) => parseInt(mixed.slice(8 * i, 8 * i + 8), 2));
          const rule = parseAllow(`${formatPrefix({ bytes: base, length })}:5`);
          expect(allows([rule], address, 5)).toBe(mixed.slice(0, length) === bits(base).slice(0, length));
          expect(allows([rule], address, 6)).toBe(false);
        },
      ),
    );
  });

  test('a rule of one family says nothing of the other', () => {
    expect(allows([parseAllow('0.0.0.0/0:*')], ip('::1'), 80)).toBe(false);
    expect(allows([parseAllow('[::/0]:*')], ip('1.2.3.4'), 80)).toBe(false);
  });
});

describe('--forward', () => {
  test.each([
    ['127.0.0.1:8080=10.0.0.2:80', 'tcp', '127.0.0.1', 8080, '10.0.0.2', 80],
    ['8080=10.0.0.2:80', 'tcp', '127.0.0.1', 8080, '10.0.0.2', 80],
    ['[::1]:0=[fd00::2]:80/tcp', 'tcp', '::1', 0, 'fd00::2', 80],
    ['*:53=ns.example:53/udp', 'udp', '*', 53, 'ns.example', 53],
    ['localhost:1=a-b.c_d:2', 'tcp', 'localhost', 1, 'a-b.c_d', 2],
  ])('%s', (text, protocol, listenHost, listenPort, host, port) => {
    expect(parseForward(text)).toEqual({
      protocol,
      listen: { host: listenHost, port: listenPort },
      destination: { host, port },
    });
  });

  test.each([
    '',
    '8080',
    '8080=',
    '=10.0.0.2:80',
    '8080=10.0.0.2',
    '8080=10.0.0.2:0',
    '8080=1.2.3.999:80',
    '8080=10.0.0.2:80/sctp',
    'web:80=10.0.0.2:80',
    '99999=10.0.0.2:80',
    '::1:80=10.0.0.2:80',
    '1=2=3:4',
    '8080=a b:80',
  ])('%j is refused', (text) => {
    expect(() => parseForward(text)).toThrow(
      expect.objectContaining({ code: 'bad-forward', message: expect.stringContaining(text) }),
    );
  });
});

describe('--remote-forward and --socks5', () => {
  test.each([
    ['80=127.0.0.1:8080', 'tcp', null, 80, '127.0.0.1', 8080],
    ['10.0.0.2:53=[::1]:5353/udp', 'udp', '10.0.0.2', 53, '::1', 5353],
    ['[fd00::2]:1=db:2', 'tcp', 'fd00::2', 1, 'db', 2],
  ])('%s', (text, protocol, address, port, host, hostPort) => {
    expect(parseRemoteForward(text)).toEqual({
      protocol,
      address: address === null ? null : ip(address),
      port,
      destination: { host, port: hostPort },
    });
  });

  test.each(['0=127.0.0.1:80', 'name:80=127.0.0.1:80', '80=127.0.0.1', '80'])('%j is refused', (text) => {
    expect(() => parseRemoteForward(text)).toThrow(expect.objectContaining({ code: 'bad-remote-forward' }));
  });

  test('where a proxy listens', () => {
    expect(parseSocks5('1080')).toEqual({ host: '127.0.0.1', port: 1080 });
    expect(parseSocks5('[::1]:0')).toEqual({ host: '::1', port: 0 });
    for (const bad of ['', 'x', '1.2.3:80', 'proxy:1080', '70000']) {
      expect(() => parseSocks5(bad)).toThrow(expect.objectContaining({ code: 'bad-socks5' }));
    }
  });
});

describe('what peers may reach', () => {
  const own = [ip('10.0.0.2'), ip('fd00::2')];
  const policy = (rules: string[], forwards: string[] = []) =>
    new Policy(own, rules.map(parseAllow), forwards.map(parseRemoteForward));

  test('nothing by default', () => {
    expect(policy([]).decide('tcp', ip('10.0.0.2'), 80)).toBe('closed');
    expect(policy([]).decide('udp', ip('192.0.2.1'), 80)).toBe('prohibited');
  });

  test('a tunnel address of ours stands for the loopback address of its family', () => {
    const p = policy(['127.0.0.1:80', '[::1]:81']);
    expect(p.decide('tcp', own[0]!, 80)).toEqual({ kind: 'address', host: '127.0.0.1', port: 80 });
    expect(p.decide('tcp', own[1]!, 81)).toEqual({ kind: 'address', host: '::1', port: 81 });
    expect(p.decide('tcp', own[0]!, 81)).toBe('closed');
    expect(policy(['10.0.0.2:9']).decide('tcp', own[0]!, 9)).toEqual({ kind: 'address', host: '127.0.0.1', port: 9 });
  });

  test('remote forwards come before the allow list, listeners before both', () => {
    const p = policy(['127.0.0.1:*'], ['80=127.0.0.1:8080', '10.0.0.2:81=db:5432', '53=127.0.0.1:5353/udp']);
    expect(p.decide('tcp', own[0]!, 80)).toMatchObject({ host: '127.0.0.1', port: 8080 });
    expect(p.decide('tcp', own[1]!, 80)).toMatchObject({ host: '127.0.0.1', port: 8080 });
    expect(p.decide('tcp', own[0]!, 81)).toMatchObject({ host: 'db', port: 5432 });
    expect(p.decide('tcp', own[1]!, 81)).toBe('closed');
    expect(p.decide('tcp', own[0]!, 53)).toMatchObject({ host: '127.0.0.1', port: 53 });
    expect(p.decide('udp', own[0]!, 53)).toMatchObject({ host: '127.0.0.1', port: 5353 });
    const listener = {};
    expect(p.listen('tcp', 80, listener)).toBe(true);
    expect(p.listen('tcp', 80, {})).toBe(false);
    expect(p.decide('tcp', own[0]!, 80)).toEqual({ kind: 'listener', listener });
    p.unlisten('tcp', 80);
    expect(p.decide('tcp', own[0]!, 80)).toMatchObject({ port: 8080 });
  });

  test('addresses that no network carries lead nowhere, not even with --exit', () => {
    const p = new Policy(own, [ALLOW_ALL], []);
    for (const martian of [
      '127.0.0.1',
      '127.8.8.8',
      '0.0.0.0',
      '224.0.0.1',
      '255.255.255.255',
      '::',
      '::1',
      'ff02::1',
      '::ffff:127.0.0.1',
      '::ffff:10.0.0.1',
    ]) {
      expect([martian, isMartian(ip(martian)), p.decide('tcp', ip(martian), 80), p.mayPing(ip(martian))]).toEqual([
        martian,
        true,
        'ignore',
        false,
      ]);
    }
    expect(p.decide('tcp', ip('192.0.2.1'), 80)).toEqual({ kind: 'address', host: '192.0.2.1', port: 80 });
    expect(p.decide('tcp', ip('192.0.2.1'), 0)).toBe('prohibited');
    expect(p.decide('tcp', own[0]!, 0)).toBe('closed');
  });
});
