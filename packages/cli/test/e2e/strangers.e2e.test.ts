import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, jest, test } from '@jest/globals';
import { asRecord, strangersInitiations } from './support/initiations.js';
import { Joined, PORT } from './support/joined.js';
import { Namespace } from './support/netns.js';
import { ping } from './support/ping.js';
import { memory } from './support/proc.js';
import { describeReal, LONG } from './support/requirements.js';
import { Scope } from './support/scope.js';
import { Capture } from './support/tcpdump.js';
import { pair, type Pair } from './support/topology.js';
import { until } from './support/until.js';
import { endpoint } from './support/wgquick.js';

/** What a listener does when thousands of strangers connect to it, and what it means for those who are no strangers. */
jest.setTimeout(120_000);

const PROGRAM = fileURLToPath(new URL('./support/programs/strangers.mjs', import.meta.url));
const STRANGERS = LONG ? 10_000 : 600;
const PER_SECOND = LONG ? 500 : 300;
const ATTEMPTS = LONG ? 15 : 3;
/** Room for what the garbage collector has not got round to; a stranger may cost no more than a few KiB at a time. */
const MEMORY_MAX = 64 << 20;

interface Report {
  readonly connected: number;
  readonly received: number;
  readonly byKind: Readonly<Record<string, number>>;
}

describeReal('strangers', ['wg', 'tcpdump'], () => {
  let scope: Scope;
  let hosts: Pair;
  let crowd: Namespace;
  let joined: Joined;

  beforeAll(async () => {
    scope = new Scope();
    hosts = await pair(scope);
    crowd = await Namespace.create(scope, 'crowd');
    await hosts.b.ns.ip(
      `link add veth1 type veth peer name veth0 netns ${crowd.name}`,
      'address add 203.0.113.1/24 dev veth1',
      'link set veth1 up',
    );
    await crowd.ip(...sources.map((address) => `address add ${address}/24 dev veth0`), 'link set veth0 up');
    joined = await Joined.up(scope, hosts.a, hosts.b, { aDials: endpoint(hosts.b.v4, PORT) });
    await joined.settled();
  });
  afterAll(async () => scope.close());

  const sources = Array.from({ length: 200 }, (_, i) => `203.0.113.${i + 11}`);

  /** Lets them loose. */
  const strangers = async (count: number, perSecond: number, linger: number) => {
    const file = join(scope.directory(), 'job');
    const payloads = strangersInitiations(joined.b.keys.publicKey, 200).map((message) =>
      Buffer.from(asRecord(message)).toString('base64'),
    );
    writeFileSync(
      file,
      JSON.stringify({ host: '203.0.113.1', port: PORT, count, perSecond, sources, payloads, linger }),
    );
    const child = crowd.spawn([process.execPath, PROGRAM, file]);
    scope.defer(async () => void (await child.stop('SIGKILL')));
    await child.says(/begun/);
    return child;
  };

  test(`${STRANGERS} connect while a peer does`, async () => {
    const { b } = joined;
    const before = { memory: memory(b.tunnel.pid), descriptors: await joined.descriptors() };
    const capture = await Capture.start(scope, crowd, 'veth0', `src port ${PORT} and tcp[13] & 8 != 0`);
    const child = await strangers(STRANGERS, PER_SECOND, 1500);

    const times: number[] = [];
    let memoryMax = 0;
    for (let i = 0; i < ATTEMPTS; i++) {
      await joined.forget();
      const start = performance.now();
      expect(await ping(hosts.a.ns, b.inner, 10)).not.toBeNull();
      times.push(performance.now() - start);
      memoryMax = Math.max(memoryMax, memory(b.tunnel.pid));
    }
    expect(child.running).toBe(true);
    times.sort((x, y) => x - y);
    expect(times[times.length >> 1]).toBeLessThan(1000);

    const { stdout } = await child.ended;
    const report = JSON.parse(stdout.trim().split('\n').pop()!) as Report;
    expect(report.connected).toBe(STRANGERS);
    expect(Object.keys(report.byKind).sort()).toEqual(['garbage', 'half', 'silent', 'slow', 'unknown']);
    expect(report.received).toBe(0);
    await capture.stop();
    expect(await capture.packets()).toEqual([]);
    const grown = Math.max(memoryMax, memory(b.tunnel.pid)) - before.memory;
    expect(grown).toBeLessThan(MEMORY_MAX);

    // Each of them was refused once, for a reason.
    const refused = await until('all strangers to be refused', async () => {
      const { pending } = await b.tunnel.snapshot();
      const sum = Object.values(pending.refusals).reduce((total, n) => total + n, 0);
      return pending.size === 0 && sum >= STRANGERS && { sum, refusals: pending.refusals };
    });
    expect(refused.sum).toBe(STRANGERS);
    expect((await b.tunnel.showJson()).tcp!.refusals).toEqual(refused.refusals);
    await joined.noLeak(before.descriptors);
    const refusals = Object.entries(refused.refusals).map(([reason, n]) => `${n} ${reason}`);
    console.log(
      `${STRANGERS} strangers: handshake and ping after ${times[times.length >> 1]!.toFixed(0)} ms at the median of ${times.length}, ` +
        `${times.at(-1)!.toFixed(0)} ms at most; memory grew by ${(grown / 2 ** 20).toFixed(1)} MiB; ` +
        `refused: ${refusals.join(', ')}; ${report.received} bytes sent to strangers`,
    );
  });

  test('a stranger is closed after the same time whatever it says', async () => {
    const idle = async (): Promise<number> => (await joined.b.tunnel.snapshot()).pending.refusals['idle']!;
    const before = await idle();
    const child = await strangers(10, 1000, 7000);
    const { stdout } = await child.ended;
    const report = JSON.parse(stdout.trim().split('\n').pop()!) as Report & { closedByPeer: number; left: number };
    expect(report).toMatchObject({ connected: 10, received: 0 });
    // All but the slow ones, who have half a minute as long as they go on, are gone after 5 s of silence.
    expect(report.closedByPeer).toBeGreaterThanOrEqual(8);
    expect(await idle()).toBe(before + 8);
  });
});
