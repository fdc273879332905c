import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { BesideGo } from './support/besidego.js';
import { must, run } from './support/command.js';
import { iperf } from './support/iperf.js';
import { hex, identity, presharedKey } from './support/keys.js';
import { Namespace } from './support/netns.js';
import { flood, ping, Pinger, reachable } from './support/ping.js';
import { describeReal, LONG } from './support/requirements.js';
import { Scope } from './support/scope.js';
import type { Pair } from './support/topology.js';
import { wgDump, type Tunnel } from './support/tunnel.js';
import { uapi } from './support/uapi.js';
import { pause, until } from './support/until.js';
import { upWireguardGo } from './support/wireguardgo.js';
import { endpoint } from './support/wgquick.js';
import { Wirestream } from './support/wirestream.js';

/** With peers that others wrote: Debian's wireguard-go on the other end, and wg(8) on this one. */
jest.setTimeout(LONG ? 240_000 : 40_000);

/** Bytes of an initiation. */
const INITIATION = 148;

describeReal('interoperation over UDP', ['wg', 'wireguard-go', 'iperf3'], () => {
  describe('with wireguard-go as the peer', () => {
    const scope = new Scope();
    let both: BesideGo;
    let hosts: Pair;
    let ours: Wirestream;
    const begin: BesideGo['begin'] = async (...args) => both.begin(...args);

    beforeAll(async () => {
      both = await BesideGo.up(scope);
      ({ hosts, ours } = both);
    });
    afterAll(async () => scope.close());

    for (const initiator of ['wirestream', 'wireguard-go'] as const) {
      for (const outer of ['v4', 'v6'] as const) {
        for (const secret of ['without', 'with'] as const) {
          test(`${initiator} initiates over IP${outer}, ${secret} a preshared key`, async () => {
            await begin(initiator, outer, secret === 'with' ? presharedKey() : undefined);
            const [first, target] =
              initiator === 'wirestream' ? [hosts.a.ns, '10.8.0.2'] : ([hosts.b.ns, '10.8.0.1'] as const);
            expect(await ping(first, target, 2)).not.toBeNull();
            expect(await flood(hosts.a.ns, '10.8.0.2', 200)).toEqual({ sent: 200, lost: [] });
            expect(await flood(hosts.b.ns, 'fd08::1', 200)).toEqual({ sent: 200, lost: [] });
            // What one has sent the other has received, and the other way round.
            const [mine, other] = [
              (await wgDump(hosts.a.ns, ours.name))[0]!,
              (await wgDump(hosts.b.ns, both.theirs.name))[0]!,
            ];
            expect([mine.rx, mine.tx]).toEqual([other.tx, other.rx]);
            expect(mine.endpoint).toBe(endpoint(hosts.b[outer], 2222));
            expect(other.endpoint).toBe(endpoint(hosts.a[outer], 1111));
            expect(Math.abs(mine.latestHandshake - other.latestHandshake)).toBeLessThanOrEqual(1);
          });
        }
      }
    }

    test('TCP and UDP through it, and packets larger than its MTU', async () => {
      await begin('wirestream', 'v4');
      await reachable(hosts.a.ns, '10.8.0.2');
      const extent = LONG ? { seconds: 10 } : { bytes: 3e7 };
      expect((await iperf(hosts.a.ns, hosts.b.ns, '10.8.0.2', extent)).bytes).toBeGreaterThan(0);
      expect((await iperf(hosts.b.ns, hosts.a.ns, 'fd08::1', extent)).bytes).toBeGreaterThan(0);
      expect((await iperf(hosts.a.ns, hosts.b.ns, '10.8.0.2', { bytes: 2e6 }, ['-u', '-b', '20M'])).lostPercent).toBe(
        0,
      );
      for (const size of [0, 1391, 1392, 1393, 5000]) {
        expect(await ping(hosts.a.ns, '10.8.0.2', 1, ['-s', String(size)])).not.toBeNull();
        expect(await ping(hosts.b.ns, '10.8.0.1', 1, ['-s', String(size)])).not.toBeNull();
      }
    });

    test('either side moves to another port, and the other follows', async () => {
      await begin('wirestream', 'v4');
      await reachable(hosts.a.ns, '10.8.0.2');
      await must(['wg', 'set', ours.name, 'listen-port', '1112']);
      await reachable(hosts.a.ns, '10.8.0.2');
      expect((await wgDump(hosts.b.ns, both.theirs.name))[0]!.endpoint).toBe(endpoint(hosts.a.v4, 1112));
      await must(['wg', 'set', both.theirs.name, 'listen-port', '2223']);
      await reachable(hosts.b.ns, '10.8.0.1');
      expect((await wgDump(hosts.a.ns, ours.name))[0]!.endpoint).toBe(endpoint(hosts.b.v4, 2223));
    });

    test('either side is restarted', async () => {
      await begin('wirestream', 'v4');
      await reachable(hosts.a.ns, '10.8.0.2');
      await both.restartOurs();
      await reachable(hosts.a.ns, '10.8.0.2');
      await both.restartTheirs(scope);
      await reachable(hosts.b.ns, '10.8.0.1');
    });
  });

  describe('with wireguard-go, when keys are renewed', () => {
    const scope = new Scope();
    const ROLES = [
      ['wirestream', 'v4', presharedKey()],
      ['wireguard-go', 'v6', undefined],
    ] as const;
    let tunnels: BesideGo[];

    beforeAll(async () => {
      tunnels = await Promise.all(ROLES.map(async () => BesideGo.up(scope)));
    });
    afterAll(async () => scope.close());

    /** Pings from each initiator, and `renew` meanwhile. @returns of each: the pings that were lost, and what was between the two handshakes, ms */
    const renewed = async (renew: (initiator: Namespace, outer: 'v4' | 'v6') => Promise<void>) =>
      Promise.all(
        ROLES.map(async ([initiator, outer, psk], i) => {
          const both = tunnels[i]!;
          await both.begin(initiator, outer, psk);
          const [{ ns }, target] =
            initiator === 'wirestream' ? [both.hosts.a, '10.8.0.2'] : ([both.hosts.b, '10.8.0.1'] as const);
          await reachable(ns, target);
          const first = (await both.ours.peer()).lastHandshake;
          const pinger = Pinger.start(ns, target, 20);
          await pinger.replyAfter(Date.now());
          await renew(ns, outer);
          const again = async () => (await both.ours.peer()).lastHandshake > first;
          await until('another handshake', again, { deadline: 30_000 });
          await allowData(ns);
          await pinger.replyAfter(Date.now() + 500);
          const { lost } = await pinger.stop();
          return { initiator, lost, between: (await both.ours.peer()).lastHandshake - first };
        }),
      );

    test('who hears nothing for fifteen seconds renews them, and the tunnel goes on under the new ones', async () => {
      // Only data is withheld from it: it sends, and is not answered (paper §6.5).
      for (const { between } of await renewed(withholdData)) expect(between).toBeGreaterThan(14_000);
    });

    if (LONG) {
      test('after two minutes the initiator renews them, and no packet is lost', async () => {
        for (const { initiator, lost, between } of await renewed(async () => pause(121_000))) {
          expect([initiator, lost]).toEqual([initiator, []]);
          expect(between).toBeGreaterThan(119_000);
          expect(between).toBeLessThan(125_000);
        }
      });
    }
  });

  describe('with wg(8), which sees no difference to wireguard-go', () => {
    const scope = new Scope();
    let ours: Tunnel;
    let theirs: Tunnel;
    const directory = scope.directory();
    const [keys, psk] = [[identity(), identity(), identity(), identity()] as const, presharedKey()];

    beforeAll(async () => {
      const spaces = await Promise.all(['ours', 'theirs'].map(async (label) => Namespace.create(scope, label)));
      const iface = { privateKey: keys[0].privateKey, listenPort: 5555 };
      ours = await Wirestream.up(scope, spaces[0]!, { iface, peers: [] });
      theirs = await upWireguardGo(scope, spaces[1]!, { iface, peers: [] });
    });
    afterAll(async () => scope.close());

    const file = (...lines: string[]): string => {
      const path = join(directory, `${lines.length}-${Math.random()}`);
      writeFileSync(path, lines.map((line) => `${line}\n`).join(''), { mode: 0o600 });
      return path;
    };

    /** Does the same to both. */
    const both = async (command: string, ...args: string[]): Promise<void> => {
      const [a, b] = await Promise.all([ours, theirs].map(async ({ name }) => run(['wg', command, name, ...args])));
      expect(outcome(a!, ours)).toEqual(outcome(b!, theirs));
    };

    const outcome = ({ code, stdout, stderr }: Awaited<ReturnType<typeof run>>, { name }: Tunnel) => ({
      code,
      stdout: blocks(unhurried(stdout.replaceAll(name, 'NAME'))),
      stderr: stderr.replaceAll(name, 'NAME'),
    });

    /** Initiations are repeated every five seconds and a bit: how many there have been by now is nobody's doing, that there have been some is. */
    const unhurried = (text: string): string =>
      text.replace(/\b\d{3,4}\b/g, (digits) => (Number(digits) % INITIATION === 0 ? 'INITIATIONS' : digits));

    /** wireguard-go tells its peers in an order that changes from time to time; what belongs to one peer stays together. */
    const blocks = (text: string): string[] =>
      text
        .split(/\n(?=\n?(?:peer: |\[Peer\]))/)
        .flatMap((part, _, all) => (all.length > 1 ? [part.trim()] : part.split('\n')))
        .sort();

    /** Compares everything that wg(8) can say of them. */
    const alike = async (): Promise<void> => {
      await both('showconf');
      for (const what of [
        'public-key',
        'private-key',
        'listen-port',
        'fwmark',
        'peers',
        'preshared-keys',
        'endpoints',
        'allowed-ips',
        'latest-handshakes',
        'transfer',
        'persistent-keepalive',
        'dump',
      ]) {
        const [a, b] = await Promise.all([ours, theirs].map(async ({ name }) => run(['wg', 'show', name, what])));
        expect([what, outcome(a!, ours)]).toEqual([what, outcome(b!, theirs)]);
      }
      const [a, b] = await Promise.all([ours, theirs].map(async ({ name }) => run(['wg', 'show', name])));
      expect(outcome(a!, ours)).toEqual(outcome(b!, theirs));
      // Others may have interfaces on this machine.
      const all = await must(['wg', 'show', 'all', 'dump']);
      const of = ({ name }: Tunnel): string[] =>
        all
          .split('\n')
          .filter((line) => line.startsWith(`${name}\t`))
          .map((line) => unhurried(line.slice(name.length)))
          .sort();
      expect(of(ours)).toEqual(of(theirs));
      // And what goes over the socket has the same lines in the same order, per peer.
      const [c, d] = await Promise.all([ours, theirs].map(async ({ name }) => uapi(name, 'get=1\n\n')));
      const sections = (text: string): string[] =>
        text
          .split(/\n(?=public_key)/)
          .map((part) => unhurried(part.replace(/\nerrno=0\n*$/, '').trim()))
          .sort();
      expect(sections(c!)).toEqual(sections(d!));
    };

    test('without peers', alike);

    test('set: peers with everything', async () => {
      const secret = file(psk);
      await both('set', 'fwmark', '0xca6c');
      await both('set', 'peer', keys[1].publicKey, 'endpoint', '127.0.0.9:1234', 'persistent-keepalive', '25');
      await both('set', 'peer', keys[2].publicKey, 'preshared-key', secret, 'endpoint', '[::1]:1234');
      await both('set', 'peer', keys[3].publicKey, 'allowed-ips', '10.1.0.0/16,fd00:1::/48,10.2.0.0/24');
      await alike();
    });

    test('set: allowed IPs taken over, replaced, host bits cleared', async () => {
      await both('set', 'peer', keys[1].publicKey, 'allowed-ips', '10.2.0.77/24,0.0.0.0/0');
      await alike();
      await both('set', 'peer', keys[3].publicKey, 'allowed-ips', '');
      await alike();
    });

    test('set: off, removed, own key, key cleared', async () => {
      await both('set', 'fwmark', '0', 'peer', keys[1].publicKey, 'persistent-keepalive', 'off');
      await both('set', 'peer', keys[2].publicKey, 'preshared-key', '/dev/null', 'peer', keys[3].publicKey, 'remove');
      await both('set', 'peer', keys[0].publicKey, 'allowed-ips', '10.3.0.0/16');
      await alike();
      await both('set', 'private-key', '/dev/null');
      await alike();
      await both('set', 'private-key', file(keys[0].privateKey));
      await alike();
    });

    test('setconf, addconf, syncconf', async () => {
      const head = ['[Interface]', `PrivateKey = ${keys[0].privateKey}`, 'ListenPort = 5555'];
      const peer = (i: 1 | 2 | 3, ...lines: string[]): string[] => [
        '[Peer]',
        `PublicKey = ${keys[i].publicKey}`,
        ...lines,
      ];
      await both('setconf', file(...head, 'FwMark = 7', ...peer(1, 'AllowedIPs = 10.1.0.0/16'), ...peer(2)));
      await alike();
      await both(
        'addconf',
        file(...peer(3, `PresharedKey = ${psk}`, 'Endpoint = 127.0.0.3:3', 'AllowedIPs = 10.3.0.0/16')),
      );
      await alike();
      await both(
        'syncconf',
        file(...head, ...peer(1, 'AllowedIPs = 10.1.0.0/16, 10.4.0.0/16'), ...peer(3, 'PersistentKeepalive = 9')),
      );
      await alike();
      await both('setconf', file(...head));
      await alike();
    });

    test('nonsense', async () => {
      await both('set', 'listen-port', '70000');
      await both('set', 'peer', 'nonsense');
      await both('setconf', file('[Interface]', 'Nonsense = 1'));
      await both('show', 'nonsense');
      await alike();
      for (const [request, errno] of [
        ['set=1\nnonsense=1\n\n', 'errno=-22\n\n'],
        [`set=1\nprivate_key=${hex(keys[1].privateKey).slice(2)}\n\n`, 'errno=-22\n\n'],
        [`set=1\npublic_key=${hex(keys[1].publicKey)}\nallowed_ip=10.0.0.0/33\n\n`, 'errno=-22\n\n'],
      ] as const) {
        for (const { name } of [ours, theirs]) expect([request, await uapi(name, request)]).toEqual([request, errno]);
      }
    });

    test('a port that is taken', async () => {
      await Promise.all(
        [ours, theirs].map(async ({ home }) =>
          upWireguardGo(scope, home, { iface: { privateKey: keys[3].privateKey, listenPort: 7777 }, peers: [] }),
        ),
      );
      await both('set', 'listen-port', '7777');
    });
  });
});

/** From now on this host gets no transport data over UDP any more, only handshakes. */
async function withholdData(ns: Namespace): Promise<void> {
  // @th,64,32: the first four bytes of the datagram; a data message begins with type 4 and three zeros.
  await ns.nft(
    'table inet wst { chain in { type filter hook input priority 0; meta l4proto udp @th,64,32 0x04000000 drop; }; }',
  );
}

async function allowData(ns: Namespace): Promise<void> {
  await ns.nft('table inet wst {}\ndelete table inet wst\n');
}
