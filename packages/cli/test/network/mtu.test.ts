import { endpointOf } from '@wirestream/core/address/endpoint';
import { parseIp } from '@wirestream/core/address/ip';
import { emptyInterface, type Config } from '@wirestream/core/config/config';
import type { Transport } from '@wirestream/core/device/settings';
import { describe, expect, test } from '@jest/globals';
import { chooseMtu, DEFAULT_MTU } from '../../src/network/mtu.js';
import { FakeShell } from '../support/fakeshell.js';

const ANSWERS: Record<string, string> = {
  'ip -4 -o route get 192.0.2.1': '192.0.2.1 dev eth0 src 192.0.2.7 uid 0 \\    cache \n',
  'ip -6 -o route get 2001:db8::1': '2001:db8::1 from :: dev eth0 src 2001:db8::7 metric 1024 pref medium\n',
  'ip -4 -o route get 192.0.2.9': '192.0.2.9 via 192.0.2.8 dev eth0 src 192.0.2.7 uid 0 \\    cache mtu 1400 \n',
  'ip -4 -o route get 192.0.2.1 mark 51820': '192.0.2.1 dev ppp0 src 192.0.2.7 mark 0xca6c \\    cache \n',
  'ip -4 -o route show default': 'default via 192.0.2.8 dev ppp0 \ndefault via 192.0.2.8 dev eth0 metric 9 \n',
  'ip -o link show dev eth0': '2: eth0: <BROADCAST,UP> mtu 1500 qdisc fq state UP\\    link/ether 02:00\n',
  'ip -o link show dev ppp0': '3: ppp0: <POINTOPOINT,UP> mtu 1492 qdisc fq state UP\\    link/ppp \n',
};

interface Way {
  readonly to?: string;
  readonly transport?: Transport;
}

const mtu = async (
  ways: readonly Way[],
  { transport, mark = 0, answers = ANSWERS }: { transport?: Transport; mark?: number; answers?: typeof ANSWERS } = {},
): Promise<number> => {
  const shell = new FakeShell();
  shell.answers = answers;
  const config: Config = {
    interface: { ...emptyInterface(), ...(transport === undefined ? {} : { transport }) },
    peers: ways.map((way, i) => ({
      publicKey: new Uint8Array(32).fill(i),
      allowedIps: [],
      ...(way.transport === undefined ? {} : { transport: way.transport }),
    })),
  };
  const endpoints = ways.map(({ to }) => (to === undefined ? null : endpointOf(parseIp(to)!, 51820)));
  return chooseMtu(config, endpoints, mark, shell);
};

describe('the MTU', () => {
  test('over UDP is what wg-quick takes, over TCP what fills a segment', async () => {
    expect(await mtu([{ to: '192.0.2.1' }])).toBe(1420);
    expect(await mtu([{ to: '2001:db8::1' }])).toBe(1420);
    expect(await mtu([{ to: '192.0.2.1' }], { transport: 'tcp' })).toBe(1408);
    expect(await mtu([{ to: '2001:db8::1' }], { transport: 'tcp' })).toBe(1388);
    expect(await mtu([{ to: '192.0.2.1', transport: 'tcp' }])).toBe(1408);
    expect(DEFAULT_MTU).toBe(1420);
  });

  test('of a route counts before that of its interface', async () => {
    expect(await mtu([{ to: '192.0.2.9' }])).toBe(1320);
    expect(await mtu([{ to: '192.0.2.9', transport: 'tcp' }])).toBe(1308);
  });

  test('is the smallest that any peer needs', async () => {
    expect(await mtu([{ to: '192.0.2.1' }, { to: '2001:db8::1', transport: 'tcp' }, {}])).toBe(1388);
    expect(await mtu([{ to: '192.0.2.9' }, { to: '192.0.2.1', transport: 'tcp' }])).toBe(1320);
  });

  test('asks for the way of packets with the mark', async () => {
    expect(await mtu([{ to: '192.0.2.1' }], { mark: 51820 })).toBe(1412);
  });

  test('without an endpoint, or a way to it, is that of the default route', async () => {
    expect(await mtu([{}])).toBe(1412);
    expect(await mtu([{ to: '198.51.100.1' }])).toBe(1412);
    expect(await mtu([], { transport: 'tcp' })).toBe(1380);
    expect(await mtu([{}, { transport: 'tcp' }])).toBe(1380);
  });

  test('without any route is that of Ethernet', async () => {
    expect(await mtu([{ to: '192.0.2.1' }], { answers: {} })).toBe(1420);
    expect(await mtu([{}], { answers: {}, transport: 'tcp' })).toBe(1388);
  });

  test('is one that an interface takes, whatever the link', async () => {
    const over = async (link: number) =>
      mtu([{ to: '192.0.2.1' }], { answers: { ...ANSWERS, 'ip -o link show dev eth0': `2: eth0: mtu ${link} qdisc` } });
    expect(await over(65536)).toBe(65455);
    expect(await over(100)).toBe(68);
  });
});
