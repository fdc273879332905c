import { afterAll, afterEach, beforeAll, expect, jest, test } from '@jest/globals';
import { BesideGo } from './support/besidego.js';
import { identity } from './support/keys.js';
import { flood, ping, Pinger, reachable } from './support/ping.js';
import { describeReal, LONG } from './support/requirements.js';
import { Scope } from './support/scope.js';
import { pair, type Pair } from './support/topology.js';
import { wgDump } from './support/tunnel.js';
import { pause, until } from './support/until.js';
import { endpoint } from './support/wgquick.js';
import { Wirestream, wirestream } from './support/wirestream.js';

/** Two wirestreams that know each other: a listener that moves, and `Transport = auto`. */
jest.setTimeout(LONG ? 240_000 : 90_000);

const PORT = 51820;
/** seconds; five minutes otherwise */
const PROBES = 5;

async function up(scope: Scope, hosts: Pair, transport: 'tcp' | 'auto'): Promise<{ a: Wirestream; b: Wirestream }> {
  const [keyA, keyB] = [identity(), identity()];
  const common = { listenPort: PORT, transport } as const;
  const [b, a] = await Promise.all([
    Wirestream.up(scope, hosts.b.ns, {
      iface: { ...common, privateKey: keyB.privateKey, address: ['10.9.0.2/24'] },
      peers: [{ publicKey: keyA.publicKey, allowedIPs: ['10.9.0.1/32'] }],
    }),
    Wirestream.up(scope, hosts.a.ns, {
      iface: { ...common, privateKey: keyA.privateKey, address: ['10.9.0.1/24'] },
      peers: [{ publicKey: keyB.publicKey, allowedIPs: ['10.9.0.2/32'], endpoint: endpoint(hosts.b.v4, PORT) }],
    }),
  ]);
  return { a, b };
}

describeReal('a listener that moves', ['ss'], () => {
  const scope = new Scope();
  afterAll(async () => scope.close());

  test('ping at 5/s loses nothing over TCP, though the connection is cut and the configured port refuses', async () => {
    const hosts = await pair(scope);
    const { a, b } = await up(scope, hosts, 'tcp');
    await reachable(hosts.a.ns, '10.9.0.2');
    const pinger = Pinger.start(hosts.a.ns, '10.9.0.2', 5);
    await pinger.replyAfter(Date.now());
    await wirestream(hosts.b.ns, ['set', b.name, 'listen-port', '51999']);
    await until('the announcement', async () => (await a.peer()).announced?.tcpPort === 51_999);
    await pinger.replyAfter(Date.now() + 1_000);
    // Right after a reply nothing is on its way.
    await pinger.replyAfter(Date.now());
    await hosts.a.ns.run(['ss', '-KHtn', 'state', 'established', 'dst', hosts.b.v4]);
    await until('a connection to the port that was announced', async () => {
      const connection = (await a.peer()).connections.find(({ active }) => active);
      return connection?.state === 'authenticated' && connection.remote.port === 51_999;
    });
    await pinger.replyAfter(Date.now() + 2_000);
    expect((await pinger.stop()).lost).toEqual([]);
    // What the file says is what the device has.
    expect((await a.peer()).endpoint!.port).toBe(PORT);
    const shown = await wirestream(hosts.a.ns, ['show', a.name]);
    expect(shown.stdout).toContain('announced: tcp port 51999, udp port 51999; ');
  });
});

describeReal('Transport = auto', ['nft'], () => {
  let scope: Scope;
  let hosts: Pair;
  let a: Wirestream;
  let b: Wirestream;

  /** Drops datagrams of at least so many bytes, IP header included, on their way to b and back. */
  const block = async (least: number): Promise<void> =>
    hosts.b.ns.nft(
      [
        'table inet wst {',
        `  chain in { type filter hook input priority 0; udp dport ${PORT} meta length >= ${least} drop; }`,
        `  chain out { type filter hook output priority 0; udp sport ${PORT} meta length >= ${least} drop; }`,
        '}',
      ].join('\n') + '\n',
    );
  const unblock = async (): Promise<void> => hosts.b.ns.nft('delete table inet wst\n');
  const paths = async () => [(await a.peer()).path?.transport, (await b.peer()).path?.transport];
  const begin = async (blocked?: number): Promise<void> => {
    scope = new Scope();
    hosts = await pair(scope);
    if (blocked !== undefined) await block(blocked);
    process.env['WIRESTREAM_PROBE_INTERVAL'] = String(PROBES);
    ({ a, b } = await up(scope, hosts, 'auto'));
  };
  afterEach(async () => {
    delete process.env['WIRESTREAM_PROBE_INTERVAL'];
    await scope.close();
  });

  test('UDP blocked from the start: the first ping is answered within a second, over TCP', async () => {
    await begin(0);
    const reply = await ping(hosts.a.ns, '10.9.0.2', 5);
    const ms = Number(/time=([\d.]+) ms/.exec(reply!)![1]);
    expect(await paths()).toEqual(['tcp', 'tcp']);
    expect(ms).toBeLessThanOrEqual(1_000);
    expect((await wirestream(hosts.a.ns, ['show', a.name])).stdout).toContain('path: tcp; UDP did not answer first');
  });

  test('blocked mid-way traffic resumes within 8 s; unblocked it is back on UDP within the probe interval', async () => {
    await begin();
    await reachable(hosts.a.ns, '10.9.0.2');
    expect(await paths()).toEqual(['udp', 'udp']);
    const pinger = Pinger.start(hosts.a.ns, '10.9.0.2', 5);
    await pinger.replyAfter(Date.now());
    await block(0);
    const blocked = Date.now();
    // One may have been under way.
    const resumed = (await pinger.replyAfter(blocked + 500, 20_000)) - blocked;
    expect(await paths()).toEqual(['tcp', 'tcp']);
    expect(resumed).toBeLessThanOrEqual(8_000);
    await pause(1_000);
    await unblock();
    const unblocked = Date.now();
    const sentBefore = Math.max(...pinger.replies.keys());
    await until('both to be back on UDP', async () => (await paths()).every((path) => path === 'udp'), {
      deadline: 30_000,
    });
    const back = Date.now() - unblocked;
    await pinger.replyAfter(Date.now() + 1_000);
    const { lost } = await pinger.stop();
    expect(back).toBeLessThanOrEqual((PROBES + 2) * 1_000);
    expect(lost.filter((seq) => seq > sentBefore)).toEqual([]);
  });

  test('a network that drops only datagrams above 600 bytes does not fool it', async () => {
    await begin(600);
    await ping(hosts.a.ns, '10.9.0.2', 5);
    await until('both to be on TCP', async () => (await paths()).every((path) => path === 'tcp'), { deadline: 10_000 });
    expect(await ping(hosts.a.ns, '10.9.0.2', 2, ['-s', '1300'])).not.toBeNull();
    // Nor later: probes are of full size.
    await pause((PROBES + 4) * 1_000);
    expect(await paths()).toEqual(['tcp', 'tcp']);
  });
});

describeReal('beside a stock peer', ['wg', 'wireguard-go'], () => {
  const scope = new Scope();
  let both: BesideGo;
  beforeAll(async () => {
    both = await BesideGo.up(scope);
  });
  afterAll(async () => scope.close());

  test('one message per handshake is dropped there, and nothing else is different', async () => {
    await both.begin('wirestream', 'v4');
    const { hosts, ours, theirs } = both;
    expect(await ping(hosts.a.ns, '10.8.0.2', 2)).not.toBeNull();
    expect(await flood(hosts.a.ns, '10.8.0.2', 50)).toEqual({ sent: 50, lost: [] });
    const mine = (await wgDump(hosts.a.ns, ours.name))[0]!;
    const other = (await wgDump(hosts.b.ns, theirs.name))[0]!;
    expect([mine.rx, mine.tx]).toEqual([other.tx, other.rx]);
    // 51 pings are 128 bytes each; beside them there are our initiation and one announcement: 29 bytes, padded to 32, and 32 of WireGuard's.
    expect(mine.tx).toBe(51 * 128 + 148 + 64);
    expect((await ours.peer()).announced).toBeUndefined();
  });

  test('Extensions = off: not even that', async () => {
    const { hosts, ours } = both;
    await wirestream(hosts.a.ns, ['set', ours.name, 'extensions', 'off']);
    await both.begin('wirestream', 'v4');
    const before = (await wgDump(hosts.a.ns, ours.name))[0]!.tx;
    expect(before).toBe(0);
    expect(await ping(hosts.a.ns, '10.8.0.2', 2)).not.toBeNull();
    expect((await wgDump(hosts.a.ns, ours.name))[0]!.tx).toBe(148 + 128);
  });
});
