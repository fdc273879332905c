import { describe, expect, test } from '@jest/globals';
import { formatIp } from '@wirestream/core/address/ip';
import { parseConfig } from '@wirestream/core/config/parse';
import { rootlessFlagIn, userOptions, type RootlessFlags } from '../../src/rootless/flags.js';

const KEY = 'AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=';

function config(dns = '') {
  const text = `[Interface]\nPrivateKey = ${KEY}\nAddress = 10.0.0.2/24\n${dns}\n[Peer]\nPublicKey = ${KEY}\nAllowedIPs = 10.0.0.1/32, fd00::/64\n`;
  return parseConfig(text, { file: 'test.conf' }).config;
}

function servers(flags: Partial<RootlessFlags>, dns = ''): string[] {
  return (userOptions({ exit: false, ...flags }, config(dns)).nameServers ?? []).map((bytes) => formatIp(bytes));
}

describe('the flags of a tunnel without an interface', () => {
  test('say what the stack is to do', () => {
    const flags = { exit: true, allow: ['*:443'], forward: ['8080=10.0.0.1:80'], 'remote-forward': ['80=[::1]:8080'] };
    expect(userOptions({ ...flags, socks5: '1080' }, config())).toMatchObject({
      addresses: [{ length: 24 }],
      allow: [{ prefix: null, firstPort: 443, lastPort: 443 }],
      exit: true,
      forwards: [{ listen: { host: '127.0.0.1', port: 8080 }, destination: { host: '10.0.0.1', port: 80 } }],
      remoteForwards: [{ port: 80, destination: { host: '::1', port: 8080 } }],
      socks5: { host: '127.0.0.1', port: 1080 },
    });
  });

  test('without any, nothing listens and nothing may be reached', () => {
    const options = userOptions({ exit: false }, config());
    expect(options).toEqual({
      addresses: config().interface.addresses,
      allow: [],
      exit: false,
      forwards: [],
      remoteForwards: [],
    });
  });

  test.each([{ forward: ['0=10.0.0.1:80'] }, { socks5: '127.0.0.1:0' }])(
    'a port that nobody would learn of is refused: %j',
    (flags) => {
      expect(() => userOptions({ exit: false, ...flags }, config())).toThrow('port 0');
    },
  );

  test('are told apart from those of every tunnel', () => {
    expect(rootlessFlagIn({ exit: false })).toBe(null);
    expect(rootlessFlagIn({ exit: true })).toBe('--exit');
    expect(rootlessFlagIn({ exit: false, socks5: '1080' })).toBe('--socks5');
  });
});

describe('names', () => {
  test('are looked up here when there is no name server inside the tunnel', () => {
    expect(servers({})).toEqual([]);
    expect(servers({}, 'DNS = 192.0.2.53')).toEqual([]);
  });

  test('are looked up inside with the servers of the file, those that peers have', () => {
    expect(servers({}, 'DNS = 192.0.2.53, 10.0.0.1, fd00::53, corp.example')).toEqual(['10.0.0.1', 'fd00::53']);
    expect(servers({ resolve: 'tunnel' }, 'DNS = 192.0.2.53, 10.0.0.1')).toEqual(['10.0.0.1']);
    expect(servers({ resolve: 'here' }, 'DNS = 10.0.0.1')).toEqual([]);
  });

  test('or with those given', () => {
    expect(servers({ 'name-server': ['fd00::1'] }, 'DNS = 10.0.0.1')).toEqual(['fd00::1']);
  });

  test.each<[Partial<RootlessFlags>, string, string]>([
    [{ resolve: 'tunnel' }, '', 'no name server'],
    [{ resolve: 'tunnel' }, 'DNS = 192.0.2.53', 'no peer has the name server 192.0.2.53'],
    [{ 'name-server': ['10.0.0.1', '10.0.0.9'] }, '', 'no peer has the name server 10.0.0.9'],
    [{ 'name-server': ['ns.example'] }, '', 'is not an IP address'],
    [{ 'name-server': ['10.0.0.1'], resolve: 'here' }, '', 'has no use with'],
  ])('%j with %j fails: %s', (flags, dns, message) => {
    expect(() => servers(flags, dns)).toThrow(message);
  });
});
