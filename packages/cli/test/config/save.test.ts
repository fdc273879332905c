import { parseEndpoint } from '@wirestream/core/address/endpoint';
import { formatPrefix } from '@wirestream/core/address/ip';
import { emptyInterface } from '@wirestream/core/config/config';
import { parseInterfaceAddress } from '@wirestream/core/config/values';
import type { AnnouncedSnapshot } from '@wirestream/core/device/snapshot';
import type { Transport } from '@wirestream/core/device/settings';
import { describe, expect, test } from '@jest/globals';
import { asItIs, configOf } from '../../src/config/save.js';

const iface = (...addresses: string[]) => ({
  ...emptyInterface(),
  addresses: addresses.map((text) => parseInterfaceAddress(text)!),
});

/** As ip(8) prints addresses with -o. */
const SHOWN = [
  '7: wg0    inet 10.0.0.1/24 scope global wg0\\       valid_lft forever preferred_lft forever',
  '7: wg0    inet 10.0.0.9/24 brd 10.0.0.255 scope global secondary wg0\\       valid_lft forever preferred_lft forever',
  '7: wg0    inet6 fd00::1/64 scope global \\       valid_lft forever preferred_lft forever',
  '7: wg0    inet6 fe80::1234/64 scope link stable-privacy proto kernel_ll \\       valid_lft forever',
].join('\n');

const addresses = (before: ReturnType<typeof iface>, shown: string | null) =>
  asItIs(before, shown, null).addresses.map(formatPrefix);

describe('SaveConfig', () => {
  test('has the addresses that there are now, in the order of the file, without those of the kernel', () => {
    expect(addresses(iface('fd00::1/64', '10.0.0.1/24', '10.0.0.7/24'), SHOWN)).toEqual([
      'fd00::1/64',
      '10.0.0.1/24',
      '10.0.0.9/24',
    ]);
    expect(addresses(iface('fe80::1234/64'), SHOWN)).toEqual([
      'fe80::1234/64',
      '10.0.0.1/24',
      '10.0.0.9/24',
      'fd00::1/64',
    ]);
    expect(addresses(iface('10.0.0.1/24'), '')).toEqual([]);
  });

  test('leaves them where there is no interface to ask', () => {
    expect(addresses(iface('10.0.0.1/24'), null)).toEqual(['10.0.0.1/24']);
  });

  test('has the MTU as it is, if the file has one', () => {
    const link = '7: wg0: <POINTOPOINT,UP> mtu 1300 qdisc fq state UNKNOWN';
    expect(asItIs(iface(), null, link).mtu).toBeUndefined();
    expect(asItIs({ ...iface(), mtu: 1400 }, null, link).mtu).toBe(1300);
    expect(asItIs({ ...iface(), mtu: 1400 }, null, null).mtu).toBe(1400);
  });

  test('has the port that a peer announced when that is asked for, and never one behind a translation', () => {
    const endpoint = parseEndpoint('192.0.2.1:51820')!;
    const saved = (saveAnnounced: boolean, transport: Transport, announced: Partial<AnnouncedSnapshot> | undefined) => {
      const said = { version: 1, tcpPort: 0, udpPort: 0, translated: false, abilities: [], ...announced };
      const peer = { ...PEER, endpoint, transport, ...(announced === undefined ? {} : { announced: said }) };
      const state = { name: 'wg0', configPath: '/etc/wg0.conf', iface: { ...emptyInterface(), saveAnnounced } };
      return configOf(state as never, { ...DEVICE, peers: [peer] } as never).peers[0]!.endpoint!.port;
    };
    expect(saved(false, 'tcp', { tcpPort: 6000, udpPort: 7000 })).toBe(51820);
    expect(saved(true, 'tcp', { tcpPort: 6000, udpPort: 7000 })).toBe(6000);
    expect(saved(true, 'udp', { tcpPort: 6000, udpPort: 7000 })).toBe(7000);
    expect(saved(true, 'auto', { tcpPort: 6000 })).toBe(6000);
    expect(saved(true, 'udp', { tcpPort: 6000 })).toBe(51820);
    expect(saved(true, 'tcp', { tcpPort: 6000, translated: true })).toBe(51820);
    expect(saved(true, 'tcp', undefined)).toBe(51820);
  });
});

const PEER = { publicKey: new Uint8Array(32), presharedKey: null, allowedIps: [], persistentKeepalive: 0 };
const DEVICE = { privateKey: null, listenPort: 0, fwmark: 0, transport: 'udp' };
