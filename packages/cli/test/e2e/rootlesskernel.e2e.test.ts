import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, describe, expect, jest, test } from '@jest/globals';
import type { Child } from './support/command.js';
import { identity } from './support/keys.js';
import { Namespace } from './support/netns.js';
import { describeReal, LONG } from './support/requirements.js';
import { RootlessEnd } from './support/rootless.js';
import { Scope, uniqueName } from './support/scope.js';
import { until } from './support/until.js';
import { Wirestream } from './support/wirestream.js';
import { writeWgQuick } from './support/wgquick.js';

/**
 * Linux's own TCP as the judge of the translator.
 *
 * A client's kernel talks TCP through a bad path to a router, which has the tunnel's one end, a TUN; the other end is rootless. What is lost, repeated and
 * reordered are thus inner packets, between the kernel's TCP and ours; the carrier is sound.
 */
jest.setTimeout(LONG ? 240_000 : 90_000);

const program = (name: string) => fileURLToPath(new URL(`./support/programs/${name}.mjs`, import.meta.url));
/** of each flow, each way */
const BYTES = LONG ? 4_000_000 : 150_000;
const FLOWS = 6;
const PORTS = { carrier: 51_820, native: 7000, kernel: 7001, forward: 7002 };
const MTU = 1420;

interface Path {
  readonly loss: number;
  readonly duplication: number;
  readonly reordering: number;
}

const paths: [string, Path][] = [
  ['a sound path', { loss: 0, duplication: 0, reordering: 0 }],
  ['1 % loss', { loss: 0.01, duplication: 0, reordering: 0 }],
  ['5 % loss', { loss: 0.05, duplication: 0, reordering: 0 }],
  ['reordering', { loss: 0, duplication: 0, reordering: 0.2 }],
  ['duplication', { loss: 0, duplication: 0.2, reordering: 0 }],
  ['1 % loss, reordering and duplication', { loss: 0.01, duplication: 0.1, reordering: 0.1 }],
  ['5 % loss, reordering and duplication', { loss: 0.05, duplication: 0.1, reordering: 0.1 }],
];

interface Report {
  readonly received: number;
  readonly wrongAt: number;
  readonly error: string | null;
}

describeReal('a kernel’s TCP at the other end', [], () => {
  describe.each(LONG ? (['tcp', 'udp'] as const) : (['tcp'] as const))('over %s', (transport) => {
    const scope = new Scope();
    let client: Namespace;
    let router: Namespace;
    let round: Scope;

    beforeAll(async () => {
      client = await Namespace.create(scope, 'client');
      router = await Namespace.create(scope, 'router');
      await router.sysctl({ 'net.ipv4.ip_forward': 1, 'net.ipv6.conf.all.forwarding': 1 });
      const keys = { tun: identity(), rootless: identity() };
      const file = join(scope.directory(), `${uniqueName()}.conf`);
      const { carrier, native, kernel, forward } = PORTS;
      const iface = { privateKey: keys.rootless.privateKey, address: ['10.0.0.2/24', 'fd00::2/64'], transport };
      const clients = ['10.9.0.1/32', 'fd09::1/128'];
      const behind = ['10.0.0.1/32', 'fd00::1/128', ...clients];
      writeWgQuick(file, { ...iface, listenPort: carrier }, [{ publicKey: keys.tun.publicKey, allowedIPs: behind }]);
      const flags = ['--allow', `127.0.0.1:${native}`, '--forward', `${forward}=[fd09::1]:${kernel}`];
      await RootlessEnd.up(scope, file, flags, { ns: router });
      await Wirestream.up(scope, router, {
        iface: { privateKey: keys.tun.privateKey, address: ['10.0.0.1/24', 'fd00::1/64'], mtu: MTU, transport },
        peers: [
          {
            publicKey: keys.rootless.publicKey,
            allowedIPs: ['10.0.0.2/32', 'fd00::2/128'],
            endpoint: `127.0.0.1:${carrier}`,
          },
        ],
      });
    }, 60_000);
    afterEach(async () => round.close());
    afterAll(async () => scope.close(), 60_000);

    const badPath = async (path: Path): Promise<Child> => {
      const ends = [client, router].map(({ name }) => ({ namespace: name, device: 'path' }));
      const relay = router.spawn([process.execPath, program('badpath'), JSON.stringify({ ends, ...path, seed: 7 })]);
      round.defer(async () => void (await relay.stop('SIGKILL')));
      await relay.says(/ready/);
      const up = ['link set path txqueuelen 2000', `link set path mtu ${MTU} up`];
      await client.ip(
        ...['address add 10.9.0.1/24 dev path', 'address add fd09::1/64 dev path', ...up],
        ...['route add 10.0.0.0/24 via 10.9.0.2', 'route add fd00::/64 via fd09::2'],
      );
      await router.ip('address add 10.9.0.2/24 dev path', 'address add fd09::2/64 dev path', ...up);
      return relay;
    };

    /** Connections from `from` to a server in `to`. @returns what both ends of each heard */
    const exchange = async (
      from: Namespace,
      address: string,
      port: number,
      to: Namespace,
      at: string,
      listen: number,
    ) => {
      const server = to.spawn([process.execPath, program('exchange'), 'serve', at, `${listen}`, `${BYTES}`]);
      round.defer(async () => void (await server.stop()));
      await server.says(/serving/);
      const argv = [process.execPath, program('exchange'), 'meet', address, `${port}`, `${BYTES}`, `${FLOWS}`];
      const meeting = from.spawn(argv);
      round.defer(async () => void (await meeting.stop()));
      const deadline = LONG ? 200_000 : 60_000;
      const all = (child: Child) => until('all flows to end', () => reports(child).length === FLOWS, { deadline });
      await Promise.all([all(meeting), all(server)]).catch(() => undefined);
      return { here: reports(meeting), there: reports(server) };
    };
    const whole = Array.from({ length: FLOWS }, () => ({ received: BYTES, wrongAt: -1, error: null }));

    test.each(paths)(
      '%s: all bytes of flows begun by either arrive once and in order, and both ends hear the end',
      async (_, path) => {
        round = new Scope();
        const relay = await badPath(path);
        const [theirs, ours] = await Promise.all([
          exchange(client, '10.0.0.2', PORTS.native, router, '127.0.0.1', PORTS.native),
          exchange(router, '127.0.0.1', PORTS.forward, client, 'fd09::1', PORTS.kernel),
        ]);
        expect({ theirs, ours }).toEqual({
          theirs: { here: whole, there: whole },
          ours: { here: whole, there: whole },
        });
        // The path was as bad as it says.
        const { stdout } = await relay.stop();
        const did = JSON.parse(stdout.split('\n')[1]!) as Path & { passed: number };
        for (const what of ['loss', 'duplication', 'reordering'] as const) {
          expect(did[what] / did.passed >= path[what] / 3).toBe(true);
        }
      },
    );
  });
});

function reports({ stdout }: Child): Report[] {
  const lines = stdout.split('\n').filter((line) => line.startsWith('{'));
  return lines.map((line) => JSON.parse(line) as Report);
}
