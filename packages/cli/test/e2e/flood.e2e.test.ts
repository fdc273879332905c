import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, expect, jest, test } from '@jest/globals';
import { strangersInitiations } from './support/initiations.js';
import { identity } from './support/keys.js';
import { Namespace } from './support/netns.js';
import { reachable } from './support/ping.js';
import { describeReal } from './support/requirements.js';
import { Scope } from './support/scope.js';
import { Capture } from './support/tcpdump.js';
import { pair } from './support/topology.js';
import { until } from './support/until.js';
import { endpoint } from './support/wgquick.js';
import { wirestream, Wirestream } from './support/wirestream.js';

/** Under a flood of initiations whose MAC1 is right, a peer gets through with a cookie, which shows that it is where it says. */
jest.setTimeout(120_000);

const PROGRAM = fileURLToPath(new URL('./support/programs/flood.mjs', import.meta.url));
const PORT = 51820;
/** Load begins at 170 a second (load.ts); this is many times as much, and less than a core's worth of work for those who send. */
const PER_SECOND = 2000;
const CONNECTS_WITHIN = 5;

/** What is read of the lines of `decode --json`. */
interface Line {
  readonly type: string;
  readonly t: number;
  readonly wg: {
    readonly type: number;
    readonly mac2?: boolean;
    readonly cookie_ok?: boolean;
    readonly handshake_ok?: boolean;
  };
}

describeReal('a flood of initiations over UDP', ['tcpdump'], () => {
  const scope = new Scope();
  afterAll(async () => scope.close());

  test('a peer connects through the cookie exchange', async () => {
    const { a, b } = await pair(scope);
    const crowd = await Namespace.create(scope, 'crowd');
    const sources = Array.from({ length: 100 }, (_, i) => `203.0.113.${i + 11}`);
    await b.ns.ip(
      `link add veth1 type veth peer name veth0 netns ${crowd.name}`,
      'address add 203.0.113.1/24 dev veth1',
      'link set veth1 up',
    );
    await crowd.ip(...sources.map((address) => `address add ${address}/24 dev veth0`), 'link set veth0 up');

    const [mine, theirs] = [identity(), identity()];
    const server = await Wirestream.up(scope, b.ns, {
      iface: { privateKey: theirs.privateKey, listenPort: PORT, address: ['10.7.0.2/24'] },
      peers: [{ publicKey: mine.publicKey, allowedIPs: ['10.7.0.1/32'] }],
    });
    const job = join(scope.directory(), 'job');
    const payloads = strangersInitiations(theirs.publicKey, 100).map((bytes) => Buffer.from(bytes).toString('base64'));
    writeFileSync(job, JSON.stringify({ host: '203.0.113.1', port: PORT, perSecond: PER_SECOND, sources, payloads }));
    const flood = crowd.spawn([process.execPath, PROGRAM, job]);
    scope.defer(async () => void (await flood.stop('SIGKILL')));
    await until('strangers to get cookies', async () => ((await server.snapshot()).drops['cookie-sent'] ?? 0) > 100);

    const capture = await Capture.start(scope, a.ns, a.dev, `udp port ${PORT}`);
    await Wirestream.up(scope, a.ns, {
      iface: { privateKey: mine.privateKey, address: ['10.7.0.1/24'] },
      peers: [{ publicKey: theirs.publicKey, allowedIPs: ['10.7.0.2/32'], endpoint: endpoint(b.v4, PORT) }],
    });
    await reachable(a.ns, '10.7.0.2', 30_000);
    expect(flood.running).toBe(true);
    const file = await capture.stop();
    const report = JSON.parse((await flood.stop('SIGTERM')).stdout.trim().split('\n').pop()!) as {
      sent: number;
      received: Record<string, number>;
    };

    const { stdout } = await wirestream(a.ns, ['decode', '--json', '--keys', server.file, file]);
    const lines = stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as Line);
    const messages = lines.filter(({ type }) => type === 'message');
    const first = messages.find(({ wg }) => wg.type === 1)!;
    const cookie = messages.find(({ wg }) => wg.type === 3)!;
    const proven = messages.find(({ wg }) => wg.type === 1 && wg.mac2 === true)!;
    const done = lines.find(({ type }) => type === 'handshake')!;
    expect(first.wg.mac2).toBe(false);
    expect(cookie.wg.cookie_ok).toBe(true);
    expect(proven.wg.handshake_ok).toBe(true);
    expect([first.t, cookie.t, proven.t, done.t]).toEqual([first.t, cookie.t, proven.t, done.t].sort((x, y) => x - y));
    expect(done.t - first.t).toBeLessThan(CONNECTS_WITHIN);
    process.stderr.write(
      `${report.sent} initiations from strangers; a peer connected after ${(done.t - first.t).toFixed(2)} s: ` +
        `cookie after ${(cookie.t - first.t).toFixed(3)} s, initiation with it after ${(proven.t - first.t).toFixed(3)} s\n`,
    );

    // A stranger gets nothing but cookie replies once there is load, and never an answer.
    expect(Object.keys(report.received)).toEqual(['64']);
    expect((await server.snapshot()).drops['cookie-sent']).toBeGreaterThan(100);
  });
});
