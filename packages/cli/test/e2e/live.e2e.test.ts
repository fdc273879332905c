import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import type { PeerSnapshot } from '@wirestream/core/device/snapshot';
import { must } from './support/command.js';
import { iperf } from './support/iperf.js';
import { identity, presharedKey } from './support/keys.js';
import { Pinger, reachable } from './support/ping.js';
import { describeReal } from './support/requirements.js';
import { Scope } from './support/scope.js';
import { pair, type Pair } from './support/topology.js';
import { until } from './support/until.js';
import { endpoint } from './support/wgquick.js';
import { Wirestream } from './support/wirestream.js';

/** Everything that can be changed on a running interface is, under traffic; what need not be dropped for it is not dropped. */
jest.setTimeout(60_000);

const [INNER_A, INNER_B] = ['10.11.0.1', '10.11.0.2'] as const;
const [PORT_A, PORT_B] = [4001, 4002] as const;
const MARK = 0x2a;

describeReal('changes under traffic', ['wg', 'iperf3', 'nft'], () => {
  describe.each(['udp', 'tcp'] as const)('over %s', (transport) => {
    const scope = new Scope();
    const directory = scope.directory();
    const keys = { a: identity(), b: identity(), psk: presharedKey() };
    let hosts: Pair;
    let a: Wirestream;
    let b: Wirestream;

    beforeAll(async () => {
      hosts = await pair(scope);
      const up = async (mine: 'a' | 'b', other: 'a' | 'b', listenPort: number, inner: string, peer: object) =>
        Wirestream.up(scope, hosts[mine].ns, {
          iface: { privateKey: keys[mine].privateKey, listenPort, transport, address: [`${inner}/24`], table: 'off' },
          peers: [{ publicKey: keys[other].publicKey, presharedKey: keys.psk, allowedIPs: [], ...peer }],
        });
      [a, b] = await Promise.all([
        up('a', 'b', PORT_A, INNER_A, { allowedIPs: [`${INNER_B}/32`], endpoint: endpoint(hosts.b.v4, PORT_B) }),
        up('b', 'a', PORT_B, INNER_B, { allowedIPs: [`${INNER_A}/32`] }),
      ]);
      await reachable(hosts.a.ns, INNER_B);
    });
    afterAll(async () => scope.close());

    const set = async (tunnel: Wirestream, ...args: string[]): Promise<void> => {
      await must(['wg', 'set', tunnel.name, ...args]);
    };
    const file = (text: string): string => {
      const path = join(directory, 'file');
      writeFileSync(path, text, { mode: 0o600 });
      return path;
    };
    const peerOf = async (tunnel: Wirestream, publicKey: string): Promise<PeerSnapshot> => {
      const { peers } = await tunnel.snapshot();
      return peers.find((peer) => Buffer.from(peer.publicKey).toString('base64') === publicKey)!;
    };
    /** What tells one session, and over TCP one connection, from another. */
    const session = async () => {
      const [atA, atB] = [await peerOf(a, keys.b.publicKey), await peerOf(b, keys.a.publicKey)];
      return [atA, atB].map(({ lastHandshake, connections }) => [lastHandshake, connections.map(({ id }) => id)]);
    };
    const marked = async (): Promise<number> => {
      const rules = await hosts.a.ns.must(['nft', 'list', 'table', 'ip', 'wst']);
      return Number(/packets (\d+)/.exec(rules)![1]);
    };

    /** Makes the changes while pings and a transfer are under way. @returns the numbers of the pings that were lost */
    const underTraffic = async (changes: () => Promise<void>): Promise<readonly number[]> => {
      const pinger = Pinger.start(hosts.a.ns, INNER_B, 50);
      await until('the first replies', () => pinger.replies.size > 5);
      const transfer = iperf(hosts.a.ns, hosts.b.ns, INNER_B, { seconds: 3 }, ['-b', '10M']);
      await changes();
      const { intervals } = await transfer;
      // The transfer is one connection: it went through all of it.
      expect(Math.min(...intervals)).toBeGreaterThan(0);
      await pinger.replyAfter(Date.now());
      return (await pinger.stop()).lost;
    };

    test('port, mark, peers, allowed IPs, keepalive, the same keys again: the same session, and nothing lost', async () => {
      const before = await session();
      await hosts.a.ns.nft(
        `table ip wst { chain out { type filter hook output priority 0; meta mark ${MARK} counter; }; }`,
      );
      const other = identity();
      const lost = await underTraffic(async () => {
        // The end that speaks first moves; over TCP, and over UDP as far as the listener goes, nobody notices.
        await set(a, 'listen-port', '4011');
        for (const tunnel of [a, b]) await set(tunnel, 'fwmark', String(MARK));
        await until('packets with the mark', async () => (await marked()) > 0);
        await set(a, 'peer', other.publicKey, 'endpoint', '192.0.2.99:9', 'allowed-ips', '10.12.0.0/16');
        await set(a, 'peer', keys.b.publicKey, 'allowed-ips', `${INNER_B}/32,10.13.0.0/16`);
        await set(a, 'peer', keys.b.publicKey, 'allowed-ips', `${INNER_B}/32`, 'persistent-keepalive', '7');
        await set(a, 'peer', other.publicKey, 'remove');
        await set(a, 'private-key', file(keys.a.privateKey));
        await set(b, 'peer', keys.a.publicKey, 'preshared-key', file(keys.psk));
        // Where the peer is anyway.
        await set(a, 'peer', keys.b.publicKey, 'endpoint', endpoint(hosts.b.v4, PORT_B));
        await must(['wg', 'syncconf', a.name, file(await must(['wg', 'showconf', a.name]))]);
      });
      // Over UDP what was on its way to the port that was closed is lost, as it is with the kernel.
      if (transport === 'tcp') expect(lost).toEqual([]);
      else expect(lost.length).toBeLessThanOrEqual(2);
      expect(await session()).toEqual(before);
      const ports = await hosts.a.ns.must(['ss', '-Hln', transport === 'tcp' ? '-t' : '-u']);
      expect(ports).toContain(':4011');
      expect(ports).not.toContain(`:${PORT_A}`);
      if (transport === 'udp')
        expect((await must(['wg', 'show', b.name, 'endpoints'])).trim()).toMatch(/192\.0\.2\.1:4011$/);
    });

    test('another endpoint of the peer: the same keys, and nothing lost', async () => {
      const [before] = await session();
      const there = endpoint(hosts.b.v6, PORT_B);
      const tell = async () => set(a, 'peer', keys.b.publicKey, 'endpoint', there);
      const arrived = async (): Promise<boolean> => {
        const { connections, endpoint: shown } = await peerOf(a, keys.b.publicKey);
        const remote = transport === 'tcp' ? connections.find(({ active }) => active)?.remote : shown;
        return remote?.address === hosts.b.v6;
      };
      // Over UDP an answer that is on its way from the old address would lead back there: that is what roaming is.
      if (transport === 'udp') await tell();
      const lost = await underTraffic(async () => {
        if (transport === 'tcp') await tell();
        await until('the new way to be used', arrived);
      });
      expect(lost).toEqual([]);
      expect(await arrived()).toBe(true);
      if (transport === 'udp') expect((await session())[0]).toEqual(before);
    });

    test('the port of the end that is dialled: the session stays', async () => {
      const before = await session();
      if (transport === 'tcp') {
        expect(await underTraffic(async () => set(b, 'listen-port', '4012'))).toEqual([]);
      } else {
        // Over UDP the other end learns it from the next packet that comes from there.
        await set(b, 'listen-port', '4012');
        await reachable(hosts.b.ns, INNER_A);
        expect(await underTraffic(async () => undefined)).toEqual([]);
      }
      expect(await session()).toEqual(before);
      expect(await hosts.b.ns.must(['ss', '-Hln', transport === 'tcp' ? '-t' : '-u', 'sport = :4012'])).not.toBe('');
    });

    test('another private key: new keys at once, and the peers are still known', async () => {
      const successor = identity();
      const started = Date.now();
      const pinger = Pinger.start(hosts.a.ns, INNER_B, 50);
      await pinger.replyAfter(started);
      await set(b, 'peer', successor.publicKey, 'preshared-key', file(keys.psk), 'allowed-ips', `${INNER_A}/32`);
      const bystanders = await must(['wg', 'show', a.name, 'endpoints']);
      await set(a, 'private-key', file(successor.privateKey));
      await pinger.replyAfter(Date.now(), 5000);
      await pinger.stop();
      expect(await must(['wg', 'show', a.name, 'endpoints'])).toBe(bystanders);
      const { lastHandshake } = await peerOf(b, successor.publicKey);
      expect(lastHandshake).toBeGreaterThanOrEqual(started);
    });
  });
});
