import { existsSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { iperf } from './support/iperf.js';
import { identity, presharedKey } from './support/keys.js';
import { flood, ping, Pinger, reachable } from './support/ping.js';
import { isAlive } from './support/proc.js';
import { describeReal, LONG } from './support/requirements.js';
import { Scope } from './support/scope.js';
import { Capture } from './support/tcpdump.js';
import { pair, type Pair } from './support/topology.js';
import { pause, until } from './support/until.js';
import { endpoint } from './support/wgquick.js';
import { runFiles, Wirestream, wirestream } from './support/wirestream.js';

/** Two hosts joined over TCP with `up`, `show` and `down`. */
jest.setTimeout(LONG ? 240_000 : 40_000);

const PORT = 51820;
const INNER = { a: ['10.9.0.1', 'fd09::1'], b: ['10.9.0.2', 'fd09::2'] } as const;

interface Choices {
  readonly outer?: 'v4' | 'v6';
  readonly presharedKey?: string;
  readonly persistentKeepalive?: number;
}

describeReal('a tunnel over TCP', ['iperf3', 'tcpdump'], () => {
  const [keyA, keyB] = [identity(), identity()];

  /** b listens, a dials. */
  const up = async (scope: Scope, hosts: Pair, choices: Choices = {}): Promise<{ a: Wirestream; b: Wirestream }> => {
    const common = { listenPort: PORT, transport: 'tcp' } as const;
    const { outer = 'v4', persistentKeepalive } = choices;
    const psk = { presharedKey: choices.presharedKey };
    const b = Wirestream.up(scope, hosts.b.ns, {
      iface: { ...common, privateKey: keyB.privateKey, address: [`${INNER.b[0]}/24`, `${INNER.b[1]}/64`] },
      peers: [{ ...psk, publicKey: keyA.publicKey, allowedIPs: [`${INNER.a[0]}/32`, `${INNER.a[1]}/128`] }],
    });
    const a = Wirestream.up(scope, hosts.a.ns, {
      iface: { ...common, privateKey: keyA.privateKey, address: [`${INNER.a[0]}/24`, `${INNER.a[1]}/64`] },
      peers: [
        {
          ...psk,
          publicKey: keyB.publicKey,
          allowedIPs: [`${INNER.b[0]}/32`, `${INNER.b[1]}/128`],
          endpoint: endpoint(hosts.b[outer], PORT),
          ...(persistentKeepalive === undefined ? {} : { persistentKeepalive }),
        },
      ],
    });
    return { a: await a, b: await b };
  };

  /** It holds: no second without progress, either way. */
  const transfers = async (hosts: Pair): Promise<void> => {
    const there = await iperf(hosts.a.ns, hosts.b.ns, INNER.b[0], { seconds: LONG ? 60 : 2 });
    const back = await iperf(hosts.b.ns, hosts.a.ns, INNER.a[1], { seconds: LONG ? 10 : 2 });
    for (const { intervals } of [there, back]) expect(Math.min(...intervals)).toBeGreaterThan(0);
  };

  describe('over IPv4, dialled on demand', () => {
    const scope = new Scope();
    let hosts: Pair;
    let routing: { a: string; b: string };
    let a: Wirestream;
    let b: Wirestream;
    beforeAll(async () => {
      hosts = await pair(scope);
      routing = { a: await hosts.a.ns.routing(), b: await hosts.b.ns.routing() };
      ({ a, b } = await up(scope, hosts));
    });
    afterAll(async () => scope.close());

    test('pings both ways, and none of 2000 lost', async () => {
      const capture = await Capture.start(scope, hosts.a.ns, hosts.a.dev);
      // The first packet of all brings the tunnel into being; it may wait, but not get lost.
      expect(await ping(hosts.a.ns, INNER.b[0], 2)).not.toBeNull();
      expect(await flood(hosts.a.ns, INNER.b[0], 2000)).toEqual({ sent: 2000, lost: [] });
      expect(await flood(hosts.b.ns, INNER.a[0], 200)).toEqual({ sent: 200, lost: [] });
      expect(await flood(hosts.a.ns, INNER.b[1], 200)).toEqual({ sent: 200, lost: [] });
      await capture.stop();
      // Nothing went past the tunnel, and nothing over UDP.
      expect(await capture.packets('icmp or icmp6[0] = 128 or udp port 51820')).toEqual([]);
      expect((await capture.packets(`tcp port ${PORT}`)).length).toBeGreaterThan(100);
    });

    test('show tells what there is', async () => {
      await reachable(hosts.a.ns, INNER.b[0]);
      const [atA, atB] = [await a.showJson(), await b.showJson()];
      expect(atA).toMatchObject({ publicKey: keyA.publicKey, listenPort: PORT, transport: 'tcp' });
      const [toB, toA] = [atA.peers[keyB.publicKey]!, atB.peers[keyA.publicKey]!];
      expect(toB).toMatchObject({
        endpoint: `${hosts.b.v4}:${PORT}`,
        allowedIps: [`${INNER.b[0]}/32`, `${INNER.b[1]}/128`],
      });
      expect(Math.abs(toB.latestHandshake! - Date.now() / 1000)).toBeLessThan(30);
      expect(toB.tcp!.connections).toMatchObject([
        { direction: 'outbound', state: 'authenticated', remote: `${hosts.b.v4}:${PORT}`, active: true },
      ]);
      expect(toA.tcp!.connections).toMatchObject([{ direction: 'inbound', state: 'authenticated', active: true }]);
      // Each end of the connection has the other's addresses.
      expect(toA.tcp!.connections[0]!.remote).toBe(toB.tcp!.connections[0]!.local);
      expect(toA.tcp!.connections[0]!.local).toBe(toB.tcp!.connections[0]!.remote);
      const { stdout } = await wirestream(hosts.a.ns, ['show', a.name]);
      expect(stdout).toContain(`interface: ${a.name}\n  public key: ${keyA.publicKey}\n`);
      expect(stdout).toContain(`  endpoint: ${hosts.b.v4}:${PORT}\n`);
    });

    test('fragments and packets of every size', async () => {
      for (const size of [0, 1, 15, 16, 17, 1391, 1392, 1393, 3000, 60_000]) {
        expect(await ping(hosts.a.ns, INNER.b[0], 2, ['-s', String(size)])).not.toBeNull();
        expect(await ping(hosts.b.ns, INNER.a[1], 2, ['-s', String(size)])).not.toBeNull();
      }
    });

    test('transfers', async () => transfers(hosts));

    test('it comes back by itself when the link was down', async () => {
      const pinger = Pinger.start(hosts.a.ns, INNER.b[0], 10);
      await pinger.replyAfter(Date.now());
      await hosts.b.ns.ip(`link set ${hosts.b.dev} down`);
      await pause(LONG ? 10_000 : 3000);
      await hosts.b.ns.ip(`link set ${hosts.b.dev} up`);
      await pinger.replyAfter(Date.now(), 20_000);
      await pinger.stop();
      const { connections } = await a.peer();
      expect(connections.filter(({ active }) => active)).toHaveLength(1);
    });

    test('down leaves nothing, and it can be brought up again', async () => {
      await Promise.all([a.down(), b.down()]);
      for (const [tunnel, host, before] of [
        [a, hosts.a, routing.a],
        [b, hosts.b, routing.b],
      ] as const) {
        expect(isAlive(tunnel.pid)).toBe(false);
        expect(await host.ns.links()).toEqual(['lo', host.dev]);
        expect(withoutAutomatic(await host.ns.routing())).toBe(withoutAutomatic(before));
        expect(await host.ns.pids()).toEqual([]);
        for (const file of runFiles(tunnel.name)) expect(existsSync(file)).toBe(false);
      }
      await Promise.all([a.up(), b.up()]);
      await reachable(hosts.a.ns, INNER.b[0]);
    });
  });

  describe('over IPv6, with a preshared key and persistent keepalive', () => {
    const scope = new Scope();
    let hosts: Pair;
    let a: Wirestream;
    let b: Wirestream;
    beforeAll(async () => {
      hosts = await pair(scope);
      ({ a, b } = await up(scope, hosts, { outer: 'v6', presharedKey: presharedKey(), persistentKeepalive: 1 }));
    });
    afterAll(async () => scope.close());

    test('it comes up without traffic, from the side that has an endpoint', async () => {
      await until('a handshake', async () => (await b.peer()).lastHandshake > 0);
      const before = (await b.peer()).rxBytes;
      await until('more keepalives', async () => (await b.peer()).rxBytes >= before + 2 * 32, { every: 200 });
      // The other side, which cannot dial, can now send.
      expect(await ping(hosts.b.ns, INNER.a[0])).not.toBeNull();
    });

    test('transfers', async () => {
      await transfers(hosts);
      expect((await a.peer()).connections).toHaveLength(1);
    });

    if (LONG) {
      test('it survives rekeying', async () => {
        await reachable(hosts.a.ns, INNER.b[0]);
        const first = (await a.peer()).lastHandshake;
        const pinger = Pinger.start(hosts.a.ns, INNER.b[0], 20);
        await pause(130_000);
        await pinger.replyAfter(Date.now());
        expect((await pinger.stop()).lost).toEqual([]);
        expect((await a.peer()).lastHandshake).toBeGreaterThan(first);
      });
    }
  });
});

/** Without what the system itself adds when a link comes up, which a link that was down and up again has in another order. */
function withoutAutomatic(routing: string): string {
  return routing
    .split('\n')
    .filter((line) => !/^(multicast|anycast|fe80|ff00)/.test(line))
    .map((line) => line.trim())
    .sort()
    .join('\n');
}
