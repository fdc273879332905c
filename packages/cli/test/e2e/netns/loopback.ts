import { afterAll, beforeAll, beforeEach, expect } from '@jest/globals';
import { Device } from '../support/device.js';
import { iperf } from '../support/iperf.js';
import { identity } from '../support/keys.js';
import type { Kind } from '../support/kinds.js';
import { burst, flood, ping, reachable } from '../support/ping.js';
import { LONG } from '../support/requirements.js';
import { Scope } from '../support/scope.js';
import { Capture } from '../support/tcpdump.js';
import { uapi } from '../support/uapi.js';
import { until } from '../support/until.js';
import { Wirestream } from '../support/wirestream.js';
import { configurePair, crossed, KEYS, MTU, PSK, PUB1, PUB2, PUB3, PUB4, setEndpoints, V4, V6 } from './crossed.js';
import type { Crossed } from './crossed.js';
import type { Scenario } from './scenario.js';

/** The kernel's largest message for the loopback (65535) with room for headers, as its self-test computes it. */
const BIG_MTU = 34816 - 1500 + MTU;

/** Scenarios in which both interfaces' sockets share the loopback of the namespace in the middle. */
export function loopbackScenarios(kind: Kind, scenario: Scenario): void {
  const scope = new Scope();
  let net: Crossed;

  beforeAll(async () => {
    net = await crossed(scope, kind, 'middle');
  });
  beforeEach(async () => {
    await configurePair(net);
    await setEndpoints(net, '127.0.0.1:1', '127.0.0.1:2');
  });
  afterAll(async () => scope.close());

  scenario('exact counters', async () => {
    // Ours would say what they can to each other; others know no such key, and refuse it.
    const ends = [net.one, net.two];
    for (const { name } of ends) await uapi(name, 'set=1\nextensions=off\n\n');
    await burst(net.n2, V4[0], 10);
    await until('ten replies', async () => (await net.two.transfer()).rx >= 1372);
    // Ten packets of 84 bytes, padded to 96 and sealed: 1280; the response is 92 bytes, the initiation 148, a keepalive 32.
    const [at2, at1] = [await net.two.transfer(), await net.one.transfer()];
    expect(at2.rx).toBe(1372);
    expect([1428, 1460]).toContain(at2.tx);
    expect(at1.tx).toBe(1372);
    expect([1428, 1460]).toContain(at1.rx);
    expect(Number((await net.one.show('latest-handshakes')).split('\t')[1])).toBeGreaterThan(0);
    for (const { name } of ends) await uapi(name, 'set=1\nextensions=on\n\n');
  });

  for (const [outer, at1, at2] of [
    ['IPv4', '127.0.0.1:1', '127.0.0.1:2'],
    ['IPv6', '[::1]:1', '[::1]:2'],
  ] as const) {
    for (const mtu of [MTU, BIG_MTU]) {
      scenario(`traffic over ${outer}${mtu === BIG_MTU ? ', big MTU' : ''}`, async () => {
        await setEndpoints(net, at1, at2);
        await net.one.mtu(mtu);
        await net.two.mtu(mtu);
        await traffic(net);
      });
    }
  }

  scenario.udpOnly('padding stops at a MTU that is no multiple of 16', async () => {
    await net.one.mtu(1299);
    await net.two.mtu(1299);
    // What leaves at once for one peer passes the filter as one packet, to be cut later (UDP_SEGMENT): the one in question is to be alone.
    await reachable(net.n2, V4[0]);
    // 1297 bytes rounded up to 1312 would make an outer packet of more than 1299 and the 60 of all headers.
    await net.n0.nft('table ip wst { chain in { type filter hook input priority 0; meta length 1360-65535 drop; }; }');
    try {
      expect(await ping(net.n2, V4[0], 1, ['-s', '1269'])).not.toBeNull();
    } finally {
      await net.n0.nft('delete table ip wst');
    }
  });

  scenario('roaming over IPv4', async () => {
    expect(await ping(net.n1, V6[1])).not.toBeNull();
    await net.n0.ip('address del 127.0.0.1/8 dev lo', 'address add 127.212.121.99/8 dev lo');
    try {
      await net.one.set('listen-port', '9999', 'peer', PUB2, 'endpoint', '127.0.0.1:2');
      // A connection keeps its address; what is new is where the next one comes from.
      if (kind.tcp) await killConnections(net);
      await reachable(net.n1, V6[1]);
      const expected = kind.tcp ? /^127\.212\.121\.99:(1|9999)$/ : /^127\.212\.121\.99:9999$/;
      expect(await net.two.endpoint(PUB1)).toMatch(expected);
    } finally {
      await net.n0.ip('address del 127.212.121.99/8 dev lo', 'address add 127.0.0.1/8 dev lo');
    }
  });

  scenario('roaming from IPv4 to IPv6', async () => {
    expect(await ping(net.n1, V4[1])).not.toBeNull();
    await net.one.set('listen-port', '9998', 'peer', PUB2, 'endpoint', '[::1]:2');
    await reachable(net.n1, V4[1]);
    const roamed = async (): Promise<boolean> =>
      (kind.tcp ? /^\[::1\]:(1|9998)$/ : /^\[::1\]:9998$/).test(await net.two.endpoint(PUB1));
    await until('the endpoint to be the new one', roamed, { deadline: 3000 });
  });

  scenario('cryptokey routing', async () => {
    await net.one.set('peer', PUB2, 'allowed-ips', '192.168.241.0/24');
    expect(await ping(net.n2, V4[0])).not.toBeNull();
    await net.one.set('peer', identity().publicKey, 'allowed-ips', `${V4[1]}/32`);
    const capture = await Capture.start(scope, net.n1, net.one.name, 'icmp');
    expect(await ping(net.n2, V4[0])).toBeNull();
    // From an address that is still this peer's, so that the capture is known to have seen what came.
    await net.two.ns.ip(`address add 192.168.241.22/24 dev ${net.two.name}`);
    expect(await ping(net.n2, V4[0], 1, ['-I', '192.168.241.22'])).not.toBeNull();
    await capture.stop();
    expect(await capture.packets(`src host ${V4[1]}`)).toEqual([]);
    expect(await capture.packets('src host 192.168.241.22')).toHaveLength(1);
  });

  scenario('a new private key, and a handshake at once', async () => {
    expect(await ping(net.n1, V4[1])).not.toBeNull();
    await net.one.set('private-key', net.one.key(KEYS[2].privateKey));
    const psk = net.two.key(PSK);
    await net.two.set('peer', PUB3, 'preshared-key', psk, 'allowed-ips', `${V4[0]}/32`, 'peer', PUB1, 'remove');
    expect(await ping(net.n1, V4[1])).not.toBeNull();
  });

  scenario('WireGuard in WireGuard, then a routing loop', async () => {
    const { n0, n1, n2, one, two } = net;
    const inner = new Scope();
    let looped = 0;
    try {
      await one.set('peer', PUB2, 'allowed-ips', 'fd00::5:2/128');
      await two.set('peer', PUB1, 'allowed-ips', 'fd00::5:1/128');
      await one.addresses('fd00::5:1/112');
      await two.addresses('fd00::5:2/112');
      const [three, four] = await Promise.all([Device.start(inner, kind, n1), Device.start(inner, kind, n2)]);
      const setUp = async (device: Device, mine: 2 | 3, peer: string, at: string): Promise<void> => {
        const other = mine === 2 ? 1 : 0;
        const ips = `${V4[other]}/32,${V6[other]}/128`;
        await device.set('private-key', device.key(KEYS[mine].privateKey), 'listen-port', '5');
        await device.set('peer', peer, 'allowed-ips', ips, 'endpoint', at);
        await device.addresses(`${V4[1 - other]}/24`, `${V6[1 - other]}/112`);
        await device.mtu(1340);
      };
      await setUp(three, 2, PUB4, '[fd00::5:2]:5');
      await setUp(four, 3, PUB3, '[fd00::5:1]:5');
      await reachable(n1, V4[1]);
      await traffic(net);

      await three.moveTo(n0);
      await three.addresses(`${V4[0]}/24`);
      await reachable(n0, V4[1]);
      // What the inner interface sends goes through the outer one, whose peer is now to be found through the inner one.
      await one.set('peer', PUB2, 'endpoint', '192.168.241.2:7');
      await four.tunnel.down();
      const before = await three.transfer();
      expect(await burst(n0, V4[1], 10)).toBe(0);
      const after = await three.transfer();
      // The kernel's own bound, in its self-test.
      expect(after.tx - before.tx).toBeLessThan(70_000);
      for (const { tunnel } of [one, three]) {
        if (!kind.tcp && tunnel instanceof Wirestream) looped += (await tunnel.snapshot()).drops['routing-loop'] ?? 0;
      }
      if (!kind.tcp && kind.ours) expect(looped).toBeGreaterThan(0);
    } finally {
      await inner.close();
    }
  });
}

/** Pings, TCP and UDP, both families, both ways; more and longer when asked for. */
async function traffic({ n1, n2 }: Crossed): Promise<void> {
  const whole = { sent: 10, lost: [] };
  expect(await flood(n2, V4[0], 10)).toEqual(whole);
  expect(await flood(n1, V4[1], 10)).toEqual(whole);
  expect(await flood(n2, V6[0], 10)).toEqual(whole);
  expect(await flood(n1, V6[1], 10)).toEqual(whole);
  const extent = LONG ? { seconds: 3 } : { bytes: 8e6 };
  const moved = async (from: 1 | 2, to: string, args: readonly string[] = []): Promise<void> => {
    const [client, server] = from === 1 ? [n1, n2] : [n2, n1];
    expect((await iperf(client, server, to, extent, args)).bytes).toBeGreaterThan(0);
  };
  await moved(1, V4[1]);
  await moved(2, V6[0]);
  await moved(2, V4[0], ['-u', '-b', LONG ? '0' : '200M']);
  if (!LONG) return;
  await moved(1, V6[1], ['-u', '-b', '0']);
  for (const flows of [4, 5, 50]) await moved(1, V4[1], ['-P', String(flows)]);
}

async function killConnections({ n0 }: Crossed): Promise<void> {
  await n0.run(['ss', '-K', 'state', 'established', '( sport = :2 or dport = :2 )']);
}
