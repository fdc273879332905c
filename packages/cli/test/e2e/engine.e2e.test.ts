import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { iperf } from './support/iperf.js';
import { forget, joinHosts, noLeak, ownDescriptors, PORT, settled, type Joined } from './support/joined.js';
import type { Namespace } from './support/netns.js';
import { ping, Pinger } from './support/ping.js';
import { describeReal, LONG } from './support/requirements.js';
import { Scope } from './support/scope.js';
import { natted, pair, snat, type Natted, type Pair } from './support/topology.js';
import { pause, until } from './support/until.js';
import { endpoint } from './support/wgquick.js';

/** The connection engine on real TCP: whatever happens to connections, the tunnel comes back, and settles on one. */
jest.setTimeout(LONG ? 300_000 : 40_000);

describeReal('the connection engine', ['wg', 'iperf3', 'nft'], () => {
  let scope: Scope;
  beforeEach(() => {
    scope = new Scope();
  });
  afterEach(async () => scope.close());

  describe('on one wire', () => {
    let hosts: Pair;
    beforeEach(async () => {
      hosts = await pair(scope);
    });

    const join = async (dialling: 'a' | 'both'): Promise<Joined> =>
      joinHosts(scope, hosts.a, hosts.b, {
        aDials: endpoint(hosts.b.v4, PORT),
        ...(dialling === 'both' ? { bDials: endpoint(hosts.a.v4, PORT) } : {}),
      });

    test(`both dial at once, ${LONG ? 100 : 10} times: no ping lost`, async () => {
      const joined = await join('both');
      await settled(joined);
      const before = await ownDescriptors(joined);
      for (let round = 0; round < (LONG ? 100 : 10); round++) {
        await forget(scope, joined);
        const pingers = [
          Pinger.start(hosts.a.ns, joined.b.inner, 20),
          Pinger.start(hosts.b.ns, joined.a.inner, 20),
        ] as const;
        // Long enough for both to have dialled, been dialled, and settled.
        for (const pinger of pingers) await until('ten replies', () => pinger.replies.size >= 10);
        const [fromA, fromB] = await Promise.all(pingers.map(async (pinger) => pinger.stop()));
        expect([round, fromA!.lost, fromB!.lost]).toEqual([round, lastOnly(fromA!), lastOnly(fromB!)]);
        await settled(joined);
      }
      await noLeak(joined, before);
    });

    test('the active connection is killed under traffic: no ping lost', async () => {
      const joined = await join('both');
      await settled(joined);
      const before = await ownDescriptors(joined);
      for (const ns of [hosts.a.ns, hosts.b.ns, hosts.a.ns]) {
        const pinger = Pinger.start(hosts.a.ns, joined.b.inner, 5);
        const start = await pinger.replyAfter(Date.now());
        await killConnections(ns);
        await pinger.replyAfter(start + 1500);
        const result = await pinger.stop();
        expect(result.lost).toEqual(lastOnly(result));
        await settled(joined);
      }
      await noLeak(joined, before);
    });

    test(`everything vanishes for ${LONG ? 30 : 5} s, then heals`, async () => {
      const joined = await join('a');
      await settled(joined);
      const before = await ownDescriptors(joined);
      const pinger = Pinger.start(hosts.a.ns, joined.b.inner, 10);
      await pinger.replyAfter(Date.now());
      await blackHole(hosts.a.ns, hosts.a.dev);
      await pause(LONG ? 30_000 : 5000);
      await hosts.a.ns.nft('delete table inet wst');
      const healed = Date.now();
      const back = await pinger.replyAfter(healed);
      // Backoff is young after a few seconds, and 30 s at most ever.
      expect(back - healed).toBeLessThan(LONG ? 30_000 : 6000);
      await pinger.stop();
      await settled(joined);
      await noLeak(joined, before);
    });

    test('the dialling side gets another address: back within 3 s', async () => {
      const joined = await join('a');
      await settled(joined);
      const before = await ownDescriptors(joined);
      const pinger = Pinger.start(hosts.a.ns, joined.b.inner, 10);
      await pinger.replyAfter(Date.now());
      await hosts.a.ns.ip(`address del ${hosts.a.v4}/24 dev ${hosts.a.dev}`);
      await pause(1000);
      await hosts.a.ns.ip(`address add 192.0.2.77/24 dev ${hosts.a.dev}`);
      const usable = Date.now();
      expect((await pinger.replyAfter(usable)) - usable).toBeLessThan(3000);
      await pinger.stop();
      await settled(joined);
      const { endpoint: learned } = await joined.b.tunnel.peer();
      expect(learned).not.toBeNull();
      expect((await joined.b.tunnel.showJson()).peers[joined.a.keys.publicKey]!.endpoint).toMatch(/^192\.0\.2\.77:/);
      await noLeak(joined, before);
    });

    test('the listening side dies and comes back: pings within a second or two', async () => {
      const joined = await join('a');
      await settled(joined);
      const [before] = await ownDescriptors(joined);
      const pinger = Pinger.start(hosts.a.ns, joined.b.inner, 10);
      await pinger.replyAfter(Date.now());
      await joined.b.tunnel.kill();
      await pause(500);
      await joined.b.tunnel.up();
      const listening = Date.now();
      expect((await pinger.replyAfter(listening)) - listening).toBeLessThan(2500);
      await pinger.stop();
      await settled(joined);
      await noLeak(joined, [before, (await ownDescriptors(joined))[1]]);
    });

    test('both sides die and come back', async () => {
      const joined = await join('both');
      await settled(joined);
      await Promise.all([joined.a.tunnel.kill(), joined.b.tunnel.kill()]);
      await Promise.all([joined.a.tunnel.up(), joined.b.tunnel.up()]);
      await settled(joined);
      const before = await ownDescriptors(joined);
      await joined.b.tunnel.down();
      await joined.b.tunnel.up();
      await settled(joined);
      await noLeak(joined, before);
    });

    test('a listener that refuses at first is reached soon after it is there', async () => {
      const joined = await join('a');
      await settled(joined);
      await joined.b.tunnel.down();
      const pinger = Pinger.start(hosts.a.ns, joined.b.inner, 10);
      // Enough for some refused attempts.
      await pause(2500);
      await joined.b.tunnel.up();
      const listening = Date.now();
      expect((await pinger.replyAfter(listening)) - listening).toBeLessThan(4000);
      await pinger.stop();
      await settled(joined);
    });
  });

  describe('through a NAT', () => {
    let net: Natted;
    beforeEach(async () => {
      net = await natted(scope);
    });

    test('the NAT gives out another port, and another address, under load', async () => {
      const joined = await joinHosts(scope, net.client, net.server, { aDials: endpoint(net.server.v4, PORT) });
      await settled(joined);
      const before = await ownDescriptors(joined);
      const transfer = iperf(net.client.ns, net.server.ns, joined.b.inner, { seconds: 7 });
      let zone = 1;
      for (const [address, ports] of [
        ['198.51.100.1', '30000-30999'],
        ['198.51.100.11', '31000-31999'],
      ] as const) {
        await pause(2000);
        await snat(net.router, address, ports, zone++);
        const [low, high] = ports.split('-').map(Number) as [number, number];
        await until('a connection from the new address', async () => {
          const peers = Object.values((await joined.b.tunnel.showJson()).peers);
          return peers[0]!.tcp!.connections.some(({ active, remote }) => {
            const [host, port] = remote.split(':');
            return active && host === address && Number(port) >= low && Number(port) <= high;
          });
        });
      }
      expect((await transfer).bytes).toBeGreaterThan(0);
      await settled(joined);
      await noLeak(joined, before);
    });

    test('one side cannot be dialled, though the other tries: one connection, and no flapping', async () => {
      const joined = await joinHosts(scope, net.client, net.server, {
        aDials: endpoint(net.server.v4, PORT),
        bDials: endpoint(net.outside, PORT),
      });
      expect(await ping(net.client.ns, joined.b.inner, 3)).not.toBeNull();
      const pingers = [
        Pinger.start(net.client.ns, joined.b.inner, 10),
        Pinger.start(net.server.ns, joined.a.inner, 10),
      ] as const;
      await pause(3000);
      for (const result of await Promise.all(pingers.map(async (pinger) => pinger.stop()))) {
        expect(result.lost).toEqual(lastOnly(result));
      }
      const { connections } = await joined.b.tunnel.peer();
      expect(connections.filter(({ active }) => active)).toMatchObject([{ direction: 'inbound' }]);
      // It comes back, from the side that can dial, even when the other is the one with something to say.
      await killConnections(net.server.ns);
      await until('pings from the server', async () => ping(net.server.ns, joined.a.inner), { deadline: 10_000 });
    });
  });
});

/** Resets all established connections that a tunnel uses. */
async function killConnections(ns: Namespace): Promise<void> {
  const filter = ['state', 'established', `( sport = :${PORT} or dport = :${PORT} )`];
  // sock_diag answers that it is not supported where the kernel cannot destroy sockets (CONFIG_INET_DIAG_DESTROY).
  const { code, stdout, stderr } = await ns.run(['ss', '-Ktn', ...filter]);
  if (code !== 0 || stdout.split('\n').length < 3) throw new Error(`ss -K: ${stdout}${stderr}`);
}

/** Drops everything on that interface, both ways, without a word. */
async function blackHole(ns: Namespace, dev: string): Promise<void> {
  await ns.nft(
    [
      'table inet wst {',
      `  chain in { type filter hook input priority 0; iifname "${dev}" drop; }`,
      `  chain out { type filter hook output priority 0; oifname "${dev}" drop; }`,
      '}',
    ].join('\n') + '\n',
  );
}

/** What may be without a reply when a ping is ended: the request that had just gone out. */
function lastOnly({ sent, lost }: { sent: number; lost: readonly number[] }): number[] {
  return lost.includes(sent) ? [sent] : [];
}
