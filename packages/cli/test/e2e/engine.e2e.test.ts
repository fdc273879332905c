import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { formatEndpoint } from '@wirestream/core/address/endpoint';
import { iperf } from './support/iperf.js';
import { Joined, PORT, type End } from './support/joined.js';
import { ping, Pinger } from './support/ping.js';
import { isAlive } from './support/proc.js';
import { describeReal, LONG } from './support/requirements.js';
import { Scope } from './support/scope.js';
import { natted, pair, snat, type Host, type Natted, type Pair } from './support/topology.js';
import { pause, until } from './support/until.js';
import { endpoint } from './support/wgquick.js';

/** The connection engine on real TCP: whatever happens to connections, the tunnel comes back, and settles on one. */
jest.setTimeout(LONG ? 600_000 : 60_000);

const ROUNDS = LONG ? 100 : 8;

describeReal('the connection engine', ['wg', 'iperf3', 'nft'], () => {
  describe('on one wire', () => {
    const scope = new Scope();
    let hosts: Pair;
    let joined: Joined;
    beforeAll(async () => {
      hosts = await pair(scope);
      joined = await Joined.up(scope, hosts.a, hosts.b, {});
    });
    afterAll(async () => scope.close());

    /** Begins anew, on the tunnels that are up. @returns how many descriptors each daemon has then */
    const start = async (dialling: 'a' | 'both'): Promise<[number, number]> => {
      for (const { tunnel } of [joined.a, joined.b]) if (!isAlive(tunnel.pid)) await tunnel.up();
      await joined.forget({
        aDials: endpoint(hosts.b.v4, PORT),
        ...(dialling === 'both' ? { bDials: endpoint(hosts.a.v4, PORT) } : {}),
      });
      await joined.settled();
      return joined.descriptors();
    };

    test(`both dial at once, ${ROUNDS} times: no ping lost`, async () => {
      const before = await start('both');
      for (let round = 0; round < ROUNDS; round++) {
        await joined.forget();
        const pingers = [
          Pinger.start(hosts.a.ns, joined.b.inner, 20),
          Pinger.start(hosts.b.ns, joined.a.inner, 20),
        ] as const;
        // Long enough for both to have dialled, been dialled, and settled.
        for (const pinger of pingers) await until('ten replies', () => pinger.replies.size >= 10);
        const [fromA, fromB] = await Promise.all(pingers.map(async (pinger) => pinger.stop()));
        expect([round, fromA!.lost, fromB!.lost]).toEqual([round, [], []]);
        await joined.settled();
      }
      await joined.noLeak(before);
    });

    test('the active connection is killed under traffic: no ping lost', async () => {
      const before = await start('both');
      for (const [end, which] of [
        [joined.a, 'active'],
        [joined.b, 'active'],
        [joined.a, 'all'],
      ] as const) {
        const pinger = Pinger.start(hosts.a.ns, joined.b.inner, 5);
        const start = await pinger.replyAfter(Date.now());
        await killConnections(end, which);
        await pinger.replyAfter(start + 1500);
        expect((await pinger.stop()).lost).toEqual([]);
        await joined.settled();
      }
      await joined.noLeak(before);
    });

    test(`everything vanishes for ${LONG ? 30 : 5} s, then heals`, async () => {
      const before = await start('a');
      const pinger = Pinger.start(hosts.a.ns, joined.b.inner, 10);
      await pinger.replyAfter(Date.now());
      await blackHole(hosts, LONG ? 30_000 : 5000);
      const healed = Date.now();
      const back = await pinger.replyAfter(healed, 40_000);
      // Backoff is young after a few seconds, and 30 s at most ever.
      expect(back - healed).toBeLessThan(LONG ? 30_000 : 6000);
      await pinger.stop();
      await joined.settled();
      await joined.noLeak(before);
    });

    test('the dialling side gets another address: back within 3 s', async () => {
      const before = await start('a');
      const { ns, dev, v4 } = hosts.a;
      const pinger = Pinger.start(ns, joined.b.inner, 10);
      await pinger.replyAfter(Date.now());
      await ns.ip(`address del ${v4}/24 dev ${dev}`);
      await pause(1000);
      await ns.ip(`address add 192.0.2.77/24 dev ${dev}`);
      try {
        const usable = Date.now();
        expect((await pinger.replyAfter(usable)) - usable).toBeLessThan(3000);
        await pinger.stop();
        await joined.settled();
        const { peers } = await joined.b.tunnel.showJson();
        expect(peers[joined.a.keys.publicKey]!.endpoint).toMatch(/^192\.0\.2\.77:/);
        await joined.noLeak(before);
      } finally {
        await ns.ip(`address del 192.0.2.77/24 dev ${dev}`, `address add ${v4}/24 dev ${dev}`);
      }
    });

    test('the listening side dies and comes back: pings within a second or two', async () => {
      const [before] = await start('a');
      const pinger = Pinger.start(hosts.a.ns, joined.b.inner, 10);
      await pinger.replyAfter(Date.now());
      await joined.b.tunnel.kill();
      await pause(500);
      await joined.b.tunnel.up();
      const listening = Date.now();
      expect((await pinger.replyAfter(listening)) - listening).toBeLessThan(2500);
      await pinger.stop();
      await joined.settled();
      await joined.noLeak([before, (await joined.descriptors())[1]]);
    });

    test('both sides die and come back', async () => {
      await start('both');
      await Promise.all([joined.a.tunnel.kill(), joined.b.tunnel.kill()]);
      await Promise.all([joined.a.tunnel.up(), joined.b.tunnel.up()]);
      await joined.settled();
      const before = await joined.descriptors();
      await joined.b.tunnel.down();
      await joined.b.tunnel.up();
      await joined.settled();
      await joined.noLeak(before);
    });

    test('a listener that refuses at first is reached soon after it is there', async () => {
      const [before] = await start('a');
      await joined.b.tunnel.down();
      const pinger = Pinger.start(hosts.a.ns, joined.b.inner, 10);
      // Enough for some refused attempts.
      await pause(2500);
      await joined.b.tunnel.up();
      const listening = Date.now();
      expect((await pinger.replyAfter(listening)) - listening).toBeLessThan(4000);
      await pinger.stop();
      await joined.settled();
      await joined.noLeak([before, (await joined.descriptors())[1]]);
    });
  });

  describe('through a NAT', () => {
    const scope = new Scope();
    let net: Natted;
    let joined: Joined;
    beforeAll(async () => {
      net = await natted(scope);
      joined = await Joined.up(scope, net.client, net.server, { aDials: endpoint(net.server.v4, PORT) });
    });
    afterAll(async () => scope.close());

    test('the NAT gives out another port, and another address, under load', async () => {
      await joined.settled();
      const before = await joined.descriptors();
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
      await joined.settled();
      await joined.noLeak(before);
    });

    test('one side cannot be dialled, though the other tries: one connection, and no flapping', async () => {
      await joined.forget({ aDials: endpoint(net.server.v4, PORT), bDials: endpoint(net.outside, PORT) });
      await joined.settled();
      const before = await joined.descriptors();
      const pingers = [
        Pinger.start(net.client.ns, joined.b.inner, 10),
        Pinger.start(net.server.ns, joined.a.inner, 10),
      ] as const;
      await pause(3000);
      for (const pinger of pingers) {
        await pinger.replyAfter(Date.now());
        expect((await pinger.stop()).lost).toEqual([]);
      }
      const { connections } = await joined.b.tunnel.peer();
      expect(connections.filter(({ active }) => active)).toMatchObject([{ direction: 'inbound' }]);
      // It comes back, from the side that can dial, even when the other is the one with something to say.
      await killConnections(joined.b, 'all');
      await until('pings from the server', async () => ping(net.server.ns, joined.a.inner), { deadline: 10_000 });
      await joined.settled();
      await joined.noLeak(before);
    });
  });
});

/** Resets established connections that a tunnel uses: the one that it sends on, or all. */
async function killConnections({ host: { ns }, tunnel }: End, which: 'active' | 'all'): Promise<void> {
  const { connections } = await tunnel.peer();
  const filters = connections
    .filter(({ active }) => active || which === 'all')
    .map(({ local, remote }) => `( src ${formatEndpoint(local!)} and dst ${formatEndpoint(remote)} )`);
  // sock_diag answers that it is not supported where the kernel cannot destroy sockets (CONFIG_INET_DIAG_DESTROY).
  const { code, stdout, stderr } = await ns.run(['ss', '-KHtn', 'state', 'established', filters.join(' or ')]);
  const killed = stdout.split('\n').filter(Boolean).length;
  if (code !== 0 || killed !== filters.length) throw new Error(`ss -K ${filters.join()}: ${stdout}${stderr}`);
}

/** For so long every packet on that wire is lost, both ways and without a word to whoever sent it. */
async function blackHole({ a, b }: Pair, ms: number): Promise<void> {
  const ends = [a, b];
  const losing = ({ dev }: Host): string => `table netdev wst {
    chain in { type filter hook ingress device ${dev} priority 0; meta protocol { ip, ip6 } drop; }
  }\n`;
  await Promise.all(ends.map(async (host) => host.ns.nft(losing(host))));
  await pause(ms);
  await Promise.all(ends.map(async ({ ns }) => ns.nft('delete table netdev wst')));
}
