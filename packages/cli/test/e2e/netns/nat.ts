import { afterAll, beforeAll, beforeEach, expect } from '@jest/globals';
import { Device } from '../support/device.js';
import type { Kind } from '../support/kinds.js';
import { flood, ping, reachable } from '../support/ping.js';
import { Scope } from '../support/scope.js';
import { pause } from '../support/until.js';
import type { Wirestream } from '../support/wirestream.js';
import { configurePair, crossed, KEYS, PUB1, PUB2, PUB3, V4, V6 } from './crossed.js';
import type { Crossed } from './crossed.js';
import type { Scenario } from './scenario.js';

/** Seconds after which the router forgets an idle connection. */
const FORGETS = 2;

/** A client behind a router that rewrites its address: n1 – n0 – n2. */
export function natScenarios(kind: Kind, scenario: Scenario): void {
  const scope = new Scope();
  let net: Crossed;

  beforeAll(async () => {
    net = await crossed(scope, kind, 'own');
    const { n0, n1, n2 } = net;
    await n0.ip(
      `link add vethrc type veth peer name vethc netns ${n1.name}`,
      `link add vethrs type veth peer name veths netns ${n2.name}`,
      'link set vethrc up',
      'link set vethrs up',
      'address add 192.168.1.1/24 dev vethrc',
      'address add 10.0.0.1/24 dev vethrs',
    );
    await n1.ip('address add 192.168.1.100/24 dev vethc', 'link set vethc up', 'route add default via 192.168.1.1');
    await n2.ip('address add 10.0.0.100/24 dev veths', 'link set veths up');
    // Conntrack's settings appear when the first rule that needs it does.
    await n0.nft(
      'table ip nat { chain post { type nat hook postrouting priority 100; ip saddr 192.168.1.0/24 ip daddr 10.0.0.0/24 snat to 10.0.0.1; }; }',
    );
    await n0.sysctl({
      'net.ipv4.ip_forward': 1,
      'net.netfilter.nf_conntrack_udp_timeout': FORGETS,
      'net.netfilter.nf_conntrack_udp_timeout_stream': FORGETS,
      'net.netfilter.nf_conntrack_tcp_timeout_established': FORGETS,
    });
  });
  beforeEach(async () => {
    await configurePair(net);
    await net.one.set('peer', PUB2, 'endpoint', '10.0.0.100:2');
  });
  afterAll(async () => scope.close());

  scenario('persistent keepalive keeps the way through a NAT open', async () => {
    const { one, two, n1, n2 } = net;
    await one.set('peer', PUB2, 'persistent-keepalive', '1');
    expect(await ping(n1, V4[1])).not.toBeNull();
    expect(await ping(n2, V4[0])).not.toBeNull();
    expect(await two.endpoint(PUB1)).toMatch(/^10\.0\.0\.1:/);
    await pause((FORGETS + 1) * 1000);
    expect(await ping(n2, V4[0])).not.toBeNull();
    // Without it the router has forgotten by then.
    await one.set('peer', PUB2, 'persistent-keepalive', '0');
    await pause((FORGETS + 1) * 1000);
    expect(await ping(n2, V4[0])).toBeNull();
    // And the client can still open the way again.
    await reachable(n1, V4[1]);
  });

  scenario('sockets bound to the interface, and packets with a mark', async () => {
    const { one, n1 } = net;
    expect(await ping(n1, V4[1], 1, ['-I', one.name])).not.toBeNull();
    await n1.nft('table ip wst { chain out { type route hook output priority mangle; meta mark set 1; }; }');
    try {
      expect(await ping(n1, V4[1])).not.toBeNull();
      expect(await ping(n1, V4[1], 1, ['-I', one.name])).not.toBeNull();
    } finally {
      await n1.nft('delete table ip wst');
    }
  });

  scenario('onion routing, and an endpoint behind itself', async () => {
    const { one, n1, n2 } = net;
    const inner = new Scope();
    expect(await ping(n1, V4[1])).not.toBeNull();
    await one.set('peer', PUB3, 'allowed-ips', '192.168.242.2/32', 'endpoint', `${V4[1]}:5`);
    await n1.ip(`address add 192.168.242.1/24 dev ${one.name}`);
    try {
      const three = await Device.start(inner, kind, n2);
      await three.set('private-key', three.key(KEYS[2].privateKey), 'listen-port', '5');
      await three.set('peer', PUB1, 'allowed-ips', '192.168.242.1/32');
      await three.addresses('192.168.242.2/24');
      await reachable(n1, '192.168.242.2');
    } finally {
      await inner.close();
    }
    await one.set('peer', PUB3, 'endpoint', '192.168.242.2:5');
    expect(await ping(n1, '192.168.242.2')).toBeNull();
    await one.set('peer', PUB3, 'remove');
    expect(await ping(n1, V4[1])).not.toBeNull();
  });

  scenario('policy routing of the default route', async () => {
    const { one, two, n1, n2 } = net;
    await n1.ip(
      'address add fc00::9/96 dev vethc',
      'route add default via fc00::1',
      `route add default dev ${one.name} table 51820`,
      `route add ::/0 dev ${one.name} table 51820`,
    );
    await n2.ip(`address add 192.168.99.7/32 dev ${two.name}`, `address add abab::1111/128 dev ${two.name}`);
    await one.set('fwmark', '51820', 'peer', PUB2, 'allowed-ips', '192.168.99.7,abab::1111');
    for (const family of ['-4', '-6']) {
      await n1.must(['ip', family, 'rule', 'add', 'not', 'fwmark', '51820', 'table', '51820']);
      await n1.must(['ip', family, 'rule', 'add', 'table', 'main', 'suppress_prefixlength', '0']);
    }
    await n1.sysctl({ 'net.ipv4.conf.vethc.rp_filter': 0 });
    try {
      await reachable(n1, '192.168.99.7');
      const whole = { sent: 100, lost: [] };
      expect(await flood(n1, '192.168.99.7', 100)).toEqual(whole);
      expect(await flood(n1, 'abab::1111', 100)).toEqual(whole);
    } finally {
      for (const family of ['-4', '-6']) {
        await n1.must(['ip', family, 'rule', 'del', 'not', 'fwmark', '51820', 'table', '51820']);
        await n1.must(['ip', family, 'rule', 'del', 'table', 'main', 'suppress_prefixlength', '0']);
      }
      await n1.ip('address del fc00::9/96 dev vethc', 'route flush table 51820');
      await one.set('fwmark', '0');
    }
  });

  scenario.oursOnly('a peer without an endpoint: the sender is told, and show counts it', async () => {
    const { n2, two } = net;
    for (const [target, told] of [
      [V4[0], /From \S+ icmp_seq=1 Destination Host Unreachable/],
      [V6[0], /From \S+ icmp_seq=1 Destination unreachable: Address unreachable/],
    ] as const) {
      expect((await n2.run(['ping', '-n', '-c', '1', '-W', '1', target])).stdout).toMatch(told);
    }
    const shown = await (two.tunnel as Wirestream).peer();
    expect(shown.drops['no-endpoint']).toBeGreaterThanOrEqual(2);
  });

  scenario('no peer for a destination: the sender is told, behind a NAT too', async () => {
    const { n0, n2, two } = net;
    await n2.nft(
      `table ip nat { chain post { type nat hook postrouting priority 100; ip saddr 10.0.0.0/24 ip daddr 192.168.241.0/24 snat to ${V4[1]}; }; }`,
    );
    await n2.sysctl({ 'net.ipv4.ip_forward': 1 });
    await n0.ip(`route add ${V4[0]}/32 via 10.0.0.100`);
    try {
      await two.set('peer', PUB1, 'remove');
      const { stdout } = await n0.run(['ping', '-n', '-c', '1', '-W', '1', V4[0]]);
      // The kernel's own answers from the router's address (10.0.0.100). A program can only answer through its TUN, where an address
      // of this host would not be believed: it does so from the address that was asked for.
      expect(stdout).toMatch(/From (10\.0\.0\.100|192\.168\.241\.1) icmp_seq=1 Destination Host Unreachable/);
    } finally {
      await n0.ip(`route del ${V4[0]}/32`);
      await n2.nft('delete table ip nat');
    }
  });
}
