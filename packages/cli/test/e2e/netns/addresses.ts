import { afterAll, beforeAll, beforeEach, expect } from '@jest/globals';
import type { Kind } from '../support/kinds.js';
import { ping, reachable } from '../support/ping.js';
import { Scope } from '../support/scope.js';
import { until } from '../support/until.js';
import { configurePair, crossed, PUB1, PUB2, V4 } from './crossed.js';
import type { Crossed } from './crossed.js';
import type { Scenario } from './scenario.js';

/** One wire between n1 and n2, and outer addresses that come, go and are several. */
export function addressScenarios(kind: Kind, scenario: Scenario): void {
  const scope = new Scope();
  let net: Crossed;

  beforeAll(async () => {
    net = await crossed(scope, kind, 'own');
    const { n1, n2 } = net;
    await n1.ip(`link add veth1 type veth peer name veth2 netns ${n2.name}`, 'link set veth1 up');
    await n1.sysctl({ 'net.ipv4.conf.veth1.promote_secondaries': 1 });
    await n2.ip('link set veth2 up');
  });
  beforeEach(async () => {
    await net.n1.ip('address flush dev veth1 scope global');
    await net.n2.ip('address flush dev veth2 scope global');
    await configurePair(net);
  });
  afterAll(async () => scope.close());

  const outer = async (one: readonly string[], two: readonly string[]): Promise<void> => {
    await net.n1.ip(...one.map((address) => `address add ${address} dev veth1`));
    await net.n2.ip(...two.map((address) => `address add ${address} dev veth2`));
  };

  scenario('an address that goes away gives way to another', async () => {
    const { n1, one } = net;
    await outer(['10.0.0.1/24', 'fd00:aa::1/96'], ['10.0.0.2/24', 'fd00:aa::2/96']);
    for (const [endpoint, gone, other] of [
      ['10.0.0.2:2', '10.0.0.1/24', '10.0.0.10/24'],
      ['[fd00:aa::2]:2', 'fd00:aa::1/96', 'fd00:aa::10/96'],
    ] as const) {
      await one.set('peer', PUB2, 'endpoint', endpoint);
      await reachable(n1, V4[1]);
      await n1.ip(`address add ${other} dev veth1`, `address del ${gone} dev veth1`);
      // Over TCP the connection has gone with its address, and a new one takes its place.
      if (kind.tcp) await reachable(n1, V4[1], 5000);
      else expect(await ping(n1, V4[1])).not.toBeNull();
    }
  });

  scenario('answers come from the address that was asked', async () => {
    const { n1, n2, two } = net;
    await outer(['10.0.0.1/24', '10.0.0.2/24', 'fd00:aa::1/96', 'fd00:aa::2/96'], ['10.0.0.3/24', 'fd00:aa::3/96']);
    await n1.ip('link add other type bridge', 'address add 10.50.0.1/24 dev other', 'link set other up');
    await n2.ip('route add 10.50.0.0/24 dev veth2');
    try {
      for (const at of ['10.0.0.1:1', '[fd00:aa::1]:1', '10.0.0.2:1', '[fd00:aa::2]:1', '10.50.0.1:1']) {
        await two.set('peer', PUB1, 'endpoint', at);
        await reachable(n2, V4[0], 5000);
        expect(await ping(n2, V4[0])).not.toBeNull();
        expect(await two.endpoint(PUB1)).toBe(at);
      }
    } finally {
      await n1.ip('link del other');
    }
  });

  scenario('a better route takes over', async () => {
    const { n1, n2, one, two } = net;
    await n1.ip(`link add veth3 type veth peer name veth4 netns ${n2.name}`, 'link set veth3 up');
    await n2.ip('link set veth4 up');
    await outer(['10.0.0.1/24'], ['10.0.0.2/24']);
    await n1.ip(
      'address add 10.0.0.3/24 dev veth3',
      'route flush dev veth1',
      'route flush dev veth3',
      'route add 10.0.0.0/24 dev veth1 src 10.0.0.1 metric 2',
    );
    const loose = ['all', 'default'].map((dev) => [`net.ipv4.conf.${dev}.rp_filter`, 0] as const);
    await n1.sysctl({ ...Object.fromEntries(loose), 'net.ipv4.conf.veth1.rp_filter': 0 });
    await n2.sysctl({ ...Object.fromEntries(loose), 'net.ipv4.conf.veth4.rp_filter': 0 });
    try {
      await one.set('peer', PUB2, 'endpoint', '10.0.0.2:2');
      await reachable(n1, V4[1]);
      expect(await two.endpoint(PUB1)).toMatch(/^10\.0\.0\.1:/);
      await n1.ip('route add 10.0.0.0/24 dev veth3 src 10.0.0.3 metric 1');
      expect(await ping(n1, V4[1])).not.toBeNull();
      const moved = async (): Promise<boolean> => {
        await ping(n1, V4[1]);
        return (await two.endpoint(PUB1)).startsWith('10.0.0.3:');
      };
      await until('packets to come from the address of the better route', moved, { deadline: 3000 });
    } finally {
      await n1.ip('link del veth3');
    }
  });
}
