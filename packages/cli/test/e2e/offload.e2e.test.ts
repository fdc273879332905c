import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import type { Child } from './support/command.js';
import { identity } from './support/keys.js';
import type { Namespace } from './support/netns.js';
import { reachable } from './support/ping.js';
import { describeReal, LONG } from './support/requirements.js';
import { Scope } from './support/scope.js';
import { pair, type Pair } from './support/topology.js';
import { until } from './support/until.js';
import { upWireguardGo } from './support/wireguardgo.js';
import { endpoint } from './support/wgquick.js';
import { Wirestream } from './support/wirestream.js';

/** Super-packets as one message, between ends that can and ends that cannot. */
jest.setTimeout(120_000);

const PORT = 51820;
/** Where a program listens at the other end; without an interface there it is reached by a forward. */
const SERVICE = 5400;
const BYTES = LONG ? 400e6 : 12e6;
const ONE_WAY = fileURLToPath(new URL('support/programs/oneway.mjs', import.meta.url));
const OFF = ['Extensions = off'];

interface End {
  readonly flags?: readonly string[];
  readonly lines?: readonly string[];
  readonly stock?: boolean;
}

interface Mixture {
  readonly what: string;
  readonly transport: 'tcp' | 'udp';
  readonly a?: End;
  readonly b?: End;
  /** which way super-packets travel whole */
  readonly there: boolean;
  readonly back: boolean;
  /** what is dropped at each end; nothing else may be */
  readonly drops?: { readonly a?: readonly string[]; readonly b?: readonly string[] };
}

const ROOTLESS = { flags: ['--rootless', '--remote-forward', `${SERVICE}=127.0.0.1:${SERVICE}`] };
const MIXTURES: readonly Mixture[] = [
  { what: 'both can', transport: 'tcp', there: true, back: true },
  {
    what: 'no offload at the end that dials',
    transport: 'tcp',
    a: { flags: ['--no-offload'] },
    there: false,
    back: true,
  },
  {
    what: 'no offload at the end that is dialled',
    transport: 'tcp',
    b: { flags: ['--no-offload'] },
    there: true,
    back: false,
  },
  { what: 'no interface at one end', transport: 'tcp', b: ROOTLESS, there: true, back: true },
  {
    what: 'an end that knows nothing of it',
    transport: 'tcp',
    b: { lines: OFF },
    there: false,
    back: false,
    drops: { b: ['malformed-inner'] },
  },
  { what: 'over UDP', transport: 'udp', there: false, back: false },
  { what: 'wireguard-go at one end', transport: 'udp', b: { stock: true }, there: false, back: false },
];

describeReal('super-packets', ['wireguard-go'], () => {
  describe.each(MIXTURES)('$what', ({ what, transport, a: endA = {}, b: endB = {}, there, back, drops = {} }) => {
    const net = `10.${11 + MIXTURES.findIndex((one) => one.what === what)}.0`;
    const scope = new Scope();
    const keys = { a: identity(), b: identity() };
    let hosts: Pair;
    let a: Wirestream;
    let b: Wirestream | null = null;
    const address = `${net}.2`;

    const start = async (ns: Namespace, mine: 'a' | 'b', { flags, lines = [], stock = false }: End) => {
      const theirs = mine === 'a' ? 'b' : 'a';
      const iface = {
        privateKey: keys[mine].privateKey,
        address: [`${net}.${mine === 'a' ? 1 : 2}/24`],
        listenPort: PORT,
        mtu: 1420,
        ...(stock ? {} : { transport, lines }),
      };
      const dialled = mine === 'a' ? { endpoint: endpoint(hosts.b.v4, PORT) } : {};
      const peers = [
        { publicKey: keys[theirs].publicKey, allowedIPs: [`${net}.${mine === 'a' ? 2 : 1}/32`], ...dialled },
      ];
      if (stock) {
        await upWireguardGo(scope, ns, { iface, peers });
        return null;
      }
      const tunnel = Wirestream.down(scope, ns, { iface, peers });
      await tunnel.up(flags);
      return tunnel;
    };

    beforeAll(async () => {
      hosts = await pair(scope);
      for (const { ns } of [hosts.a, hosts.b]) await ns.sysctl({ 'net.ipv4.tcp_ecn': 1 });
      b = await start(hosts.b.ns, 'b', endB);
      a = (await start(hosts.a.ns, 'a', endA))!;
      await reachable(hosts.a.ns, address);
      // What each end knows of the other is there with the first handshake, but not before the ping's reply.
      if (there || back) await until('b to know what a can do', async () => knows(b!));
      if (there || back) await until('a to know what b can do', async () => knows(a));
    });
    afterAll(async () => scope.close());

    const listen = endB === ROOTLESS ? '127.0.0.1' : address;

    /** @returns bytes of messages by bytes of payload; `during`: the connection is there, and has nothing more to carry */
    const transfer = async (isBack: boolean, during?: () => Promise<void>): Promise<number> => {
      const sent = async (): Promise<number> => {
        if (!isBack) return (await a.peer()).txBytes;
        return b === null ? (await a.peer()).rxBytes : (await b.peer()).txBytes;
      };
      const end = (host: Namespace, how: string, where: string, what: string): Child =>
        host.spawn([process.execPath, ONE_WAY, how, where, String(SERVICE), what, String(BYTES)]);
      const children = [end(hosts.b.ns, 'listen', listen, isBack ? 'send' : 'receive')];
      try {
        await children[0]!.says(/listening/);
        const before = await sent();
        children.push(end(hosts.a.ns, 'connect', address, isBack ? 'receive' : 'send'));
        for (const child of children) await child.says(/done/, 60_000);
        const after = await sent();
        await during?.();
        return (after - before) / BYTES;
      } finally {
        await Promise.all(children.map(async (child) => child.stop('SIGKILL')));
      }
    };

    // A full packet of 1420 bytes has 1368 bytes of payload and makes a message of 1452; a super-packet's headers are shared by many.
    const [FEW, MANY] = [1.03, 1.05];

    test('everything arrives, in segments that are as long as ever; ECN is what it was', async () => {
      let sender = '';
      let receiver = '';
      const overhead = await transfer(false, async () => {
        sender = await carried(hosts.a.ns, `dport = :${SERVICE}`);
        if (endB !== ROOTLESS) receiver = await carried(hosts.b.ns, `sport = :${SERVICE}`);
      });
      if (there) expect(overhead).toBeLessThan(FEW);
      else expect(overhead).toBeGreaterThan(MANY);
      if (endB === ROOTLESS) return;
      // The same expectations whether super-packets travel whole or not.
      for (const text of [sender, receiver]) expect(text).toMatch(/ ecn .* pmtu:1420 .*advmss:1368 /);
      expect(sender).toMatch(/ mss:1368 /);
      expect(receiver).toMatch(/ ecnseen .* rcvmss:1368 /);
    });

    test('and the other way', async () => {
      const overhead = await transfer(true);
      if (back) expect(overhead).toBeLessThan(FEW);
      else expect(overhead).toBeGreaterThan(MANY);
    });

    test('nothing was dropped for what it is', async () => {
      expect(reasons(await a.peer())).toEqual(drops.a ?? []);
      if (b !== null) expect(reasons(await b.peer())).toEqual(drops.b ?? []);
    });
  });
});

const knows = async (tunnel: Wirestream): Promise<boolean> =>
  (await tunnel.peer()).announced?.abilities.includes('offload') === true;

/** What ss tells of the connection. */
const carried = async (ns: Namespace, filter: string): Promise<string> => ns.must(['ss', '-HtinoO', filter]);

/** Drops that have to do with what a message is; queues that are full are the network's business. */
function reasons({ drops }: { readonly drops: Readonly<Record<string, number>> }): string[] {
  return Object.keys(drops).filter((reason) => /^(bad|malformed|wrong)-/.test(reason));
}
