import { readFileSync } from 'node:fs';
import { expect, test } from '@jest/globals';
import { parseEndpoint } from '../../src/address/endpoint.js';
import { parseIp } from '../../src/address/ip.js';
import { interfaceTowards } from '../../src/linux/routequery.js';
import { inNamespace, noTun, run } from './helpers.js';

const rooted = noTun === null ? test : test.skip;
const why = noTun === null ? '' : ` (SKIPPED: ${noTun})`;

const ip = async (line: string): Promise<unknown> => run('ip', line.split(' '));

async function indexOf(dev: string): Promise<number> {
  const { stdout } = await run('ip', ['-json', 'link', 'show', 'dev', dev]);
  return (JSON.parse(stdout) as { ifindex: number }[])[0]!.ifindex;
}

test('loopback is reached by the first interface', () => {
  expect(interfaceTowards(parseEndpoint('127.0.0.1:9')!, parseIp('127.0.0.1')!, 0)).toBe(1);
  expect(interfaceTowards(parseEndpoint('127.0.0.1:9')!, parseIp('203.0.113.254')!, 0)).toBe(0);
});

rooted('the interface follows metrics and marks, whatever address it comes from' + why, () =>
  inNamespace(async () => {
    // IPv6 may be switched off here; then there is nothing to ask about it.
    const v6 = readFileSync('/proc/net/if_inet6', 'utf8') !== '';
    for (const [dev, n] of [
      ['m1', 1],
      ['m2', 2],
    ] as const) {
      await ip(`link add ${dev} type bridge`);
      await ip(`address add 10.${n}.0.1/24 dev ${dev}`);
      if (v6) await ip(`address add fd0${n}::1/64 dev ${dev} nodad`);
      await ip(`link set ${dev} up`);
    }
    const [one, two] = [await indexOf('m1'), await indexOf('m2')];
    const v4 = (source: string, mark = 0): number =>
      interfaceTowards(parseEndpoint('10.9.0.5:1')!, parseIp(source)!, mark);
    expect(v4('10.1.0.1')).toBe(0);
    await ip('route add 10.9.0.0/24 dev m1 metric 2');
    expect([v4('10.1.0.1'), v4('10.2.0.1')]).toEqual([one, one]);
    await ip('route add 10.9.0.0/24 dev m2 metric 1');
    expect([v4('10.1.0.1'), v4('10.2.0.1')]).toEqual([two, two]);
    await ip('route add 10.9.0.0/24 dev m1 table 77');
    await ip('rule add fwmark 0xca6c table 77');
    expect([v4('10.1.0.1', 0xca6c), v4('10.1.0.1', 1)]).toEqual([one, two]);
    expect(v4('10.3.0.1')).toBe(0);
    if (!v6) return;
    const at6 = (source: string): number => interfaceTowards(parseEndpoint('[fd09::5]:1')!, parseIp(source)!, 0);
    await ip('-6 route add fd09::/64 dev m1 metric 2');
    expect(at6('fd01::1')).toBe(one);
    await ip('-6 route add fd09::/64 dev m2 metric 1');
    expect(at6('fd01::1')).toBe(two);
    expect(interfaceTowards(parseEndpoint(`[fe80::5%${one}]:1`)!, parseIp('fd01::1')!, 0)).toBe(one);
  }),
);
