import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, expect, jest, test } from '@jest/globals';
import { must } from './support/command.js';
import { identity } from './support/keys.js';
import { Namespace } from './support/netns.js';
import { cpuTime, memory } from './support/proc.js';
import { describeReal, LONG } from './support/requirements.js';
import { Scope } from './support/scope.js';
import { uapi } from './support/uapi.js';
import { Wirestream } from './support/wirestream.js';

/**
 * Large configurations in one request, over the socket that wg(8) uses. What they take is printed; bounded is the CPU time, which other work on the machine
 * does not change much, and in the long run the time on the clock, too.
 */
jest.setTimeout(120_000);

/** ms, and bytes of memory for each peer, garbage of the request included */
interface Bounds {
  readonly ms: number;
  readonly bytes: number;
}

describeReal('large configurations', ['wg'], () => {
  const scope = new Scope();
  let ns: Namespace;
  beforeAll(async () => {
    ns = await Namespace.create(scope, 'large');
  });
  afterAll(async () => scope.close());

  test.each([
    [10_000, 1, { ms: 2_000, bytes: 16 * 1024 }],
    [1_000, 65, { ms: 1_000, bytes: Infinity }],
  ])('%i peers with %i allowed IPs each', async (peers, each, { ms, bytes }: Bounds) => {
    const device = await Wirestream.up(scope, ns, {
      iface: { privateKey: identity().privateKey, table: 'off' },
      peers: [],
    });
    const request = requestFor(peers, each);
    const before = memory(device.pid);
    const cpu = cpuTime(device.pid);
    const start = performance.now();
    expect(await uapi(device.name, request)).toBe('errno=0\n\n');
    const wall = performance.now() - start;
    const spent = cpuTime(device.pid) - cpu;
    const grown = (memory(device.pid) - before) / peers;
    process.stderr.write(
      `${peers} peers, ${peers * each} allowed IPs: ${wall.toFixed(0)} ms, ${spent.toFixed(0)} ms of CPU time; ` +
        `the process grew by ${grown.toFixed(0)} bytes for each peer\n`,
    );
    const shown = (await must(['wg', 'show', device.name, 'allowed-ips'], { deadline: 60_000 })).trimEnd().split('\n');
    expect(shown).toHaveLength(peers);
    expect(shown.every((line) => line.split(/[\t ]/).length === each + 1)).toBe(true);
    // Caches that others fill make everything slower.
    expect(spent).toBeLessThanOrEqual(LONG ? ms : 2 * ms);
    expect(grown).toBeLessThanOrEqual(bytes);
    if (LONG) expect(wall).toBeLessThanOrEqual(ms);
    await device.down();
  });
});

/** Half of the ranges IPv4, half IPv6, none twice. */
function requestFor(peers: number, each: number): string {
  const lines = ['set=1', 'replace_peers=true'];
  for (let i = 0; i < peers * each; i++) {
    if (i % each === 0) lines.push(`public_key=${randomBytes(32).toString('hex')}`, 'replace_allowed_ips=true');
    const [high, low] = [i >> 16, i & 0xffff];
    lines.push(
      i % 2 === 0
        ? `allowed_ip=10.${high}.${low >> 8}.${low & 255}/32`
        : `allowed_ip=fd00::${high}:${low.toString(16)}/128`,
    );
  }
  return `${lines.join('\n')}\n\n`;
}
