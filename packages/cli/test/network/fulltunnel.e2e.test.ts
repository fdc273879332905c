import { appendFileSync, existsSync, readFileSync, rmSync, unlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, jest, test } from '@jest/globals';
import { identity } from '../e2e/support/keys.js';
import { flood, ping, reachable } from '../e2e/support/ping.js';
import { isAlive } from '../e2e/support/proc.js';
import { describeReal } from '../e2e/support/requirements.js';
import { Scope } from '../e2e/support/scope.js';
import { Capture } from '../e2e/support/tcpdump.js';
import { pair, type Pair } from '../e2e/support/topology.js';
import { until } from '../e2e/support/until.js';
import { runFiles, Wirestream, wirestream, WIRESTREAM } from '../e2e/support/wirestream.js';

/** Everything through the tunnel, and how a tunnel ends in ways other than `down`. */
jest.setTimeout(120_000);

const PORT = 51820;
/** Somewhere on the far side of the tunnel that only the default route leads to. */
const [FAR4, FAR6] = ['198.51.100.77', '2001:db8:77::77'];
/** Where b is reached, behind a's own default route: the tunnel's packets must take the one and all others the other. */
const OUTER = '203.0.113.9';

describeReal('a default route into the tunnel', ['nft', 'tcpdump'], () => {
  const [keyA, keyB] = [identity(), identity()];
  let scope: Scope;
  let hosts: Pair;
  let before: string;
  let dir: string;

  beforeEach(async () => {
    scope = new Scope();
    dir = scope.directory();
    hosts = await pair(scope);
    await hosts.b.ns.ip(
      `address add ${OUTER}/32 dev lo`,
      `address add ${FAR4}/32 dev lo`,
      `address add ${FAR6}/128 dev lo`,
    );
    await hosts.a.ns.ip(`route add default via ${hosts.b.v4}`);
    // Strict: a packet is dropped unless its source would be reached by the interface that it came in on.
    await hosts.a.ns.sysctl({ 'net.ipv4.conf.all.rp_filter': 1, 'net.ipv4.conf.veth0.rp_filter': 1 });
    before = await hosts.a.ns.routing();
  });
  afterEach(async () => scope.close());

  /** a sends everything to b. */
  const up = async (transport: 'tcp' | 'udp'): Promise<Wirestream> => {
    await Wirestream.up(scope, hosts.b.ns, {
      iface: { privateKey: keyB.privateKey, listenPort: PORT, transport, address: ['10.9.0.2/24', 'fd09::2/64'] },
      peers: [{ publicKey: keyA.publicKey, allowedIPs: ['10.9.0.1/32', 'fd09::1/128'] }],
    });
    return Wirestream.up(scope, hosts.a.ns, {
      iface: {
        privateKey: keyA.privateKey,
        transport,
        address: ['10.9.0.1/24', 'fd09::1/64'],
        lines: ['PreUp = ip link show dev %i', `PostDown = touch ${dir}/%i`],
      },
      peers: [{ publicKey: keyB.publicKey, allowedIPs: ['0.0.0.0/0', '::/0'], endpoint: `${OUTER}:${PORT}` }],
    });
  };

  /** Whether it did, since this was last asked. */
  const postDownRan = (a: Wirestream): void => {
    expect(existsSync(join(dir, a.name))).toBe(true);
    rmSync(join(dir, a.name));
  };

  const clean = async (name: string): Promise<void> => {
    expect(await hosts.a.ns.routing()).toBe(before);
    expect(await hosts.a.ns.must(['nft', 'list', 'tables'])).toBe('');
    expect(runFiles(name).filter((path) => existsSync(path))).toEqual([]);
    expect(await hosts.a.ns.links()).not.toContain(name);
  };

  test.each(['tcp', 'udp'] as const)(
    'over %s: nothing loops, nothing goes past it, strict filters let replies in',
    async (transport) => {
      const a = await up(transport);
      const capture = await Capture.start(scope, hosts.a.ns, hosts.a.dev);
      await reachable(hosts.a.ns, FAR4);
      expect(await flood(hosts.a.ns, FAR4, 100)).toEqual({ sent: 100, lost: [] });
      expect(await flood(hosts.a.ns, FAR6, 100)).toEqual({ sent: 100, lost: [] });
      // What the main table knows better stays out of it.
      expect(await ping(hosts.a.ns, hosts.b.v4)).not.toBeNull();
      await capture.stop();
      expect(await capture.packets(`host ${FAR4} or host ${FAR6}`)).toEqual([]);
      const outer = transport === 'tcp' ? 'tcp' : 'udp';
      expect((await capture.packets(`${outer} and host ${OUTER} and port ${PORT}`)).length).toBeGreaterThan(100);
      // Our own packets did not come back to us as something to send.
      expect((await a.peer()).endpoint).toMatchObject({ address: OUTER, port: PORT });
      await a.down();
      await clean(a.name);
      postDownRan(a);
    },
  );

  test('a stranger on the local network cannot reach the address of the tunnel', async () => {
    const a = await up('tcp');
    await reachable(hosts.a.ns, FAR4);
    await hosts.b.ns.ip(`route add 10.9.0.1/32 via ${hosts.a.v4} table 99`, 'rule add from 192.0.2.2 table 99');
    expect(await ping(hosts.b.ns, '10.9.0.1', 1, ['-I', hosts.b.v4])).toBeNull();
    await a.down();
  });

  test('after a crash, down undoes what was done, and so does the next up', async () => {
    const a = await up('tcp');
    await a.kill();
    expect(await hosts.a.ns.routing()).not.toBe(before);
    expect((await wirestream(hosts.a.ns, ['show', a.name])).code).toBe(1);
    await a.down();
    await clean(a.name);
    postDownRan(a);

    await a.up();
    await a.kill();
    const again = await a.up();
    expect(again.stderr).toContain('cleaning up after it');
    await reachable(hosts.a.ns, FAR4);
    await a.down();
    await clean(a.name);
  });

  test.each([
    ['its interface is deleted', async (a: Wirestream) => hosts.a.ns.ip(`link del ${a.name}`)],
    [
      'its socket is removed',
      async (a: Wirestream) => Promise.resolve(unlinkSync(`/var/run/wireguard/${a.name}.sock`)),
    ],
    ['it is told to', async (a: Wirestream) => Promise.resolve(void process.kill(a.pid, 'SIGTERM'))],
  ])('when %s, the daemon undoes all of it and ends', async (_, end) => {
    const a = await up('tcp');
    await end(a);
    await until('the daemon to end', () => !isAlive(a.pid));
    await clean(a.name);
    postDownRan(a);
    expect((await wirestream(hosts.a.ns, ['down', a.file])).stderr).toMatch(/^wirestream: \w+ is not up\n/);
  });

  test('what fails half-way leaves nothing', async () => {
    const a = await up('tcp');
    await a.down();
    postDownRan(a);
    const text = readFileSync(a.file, 'utf8');
    writeFileSync(a.file, text.replace('[Peer]', 'PostUp = false\n[Peer]'));
    const failed = await wirestream(hosts.a.ns, ['up', a.file]);
    expect([failed.code, failed.stderr.trim().split('\n').pop()]).toEqual([1, 'wirestream: PostUp failed (1): false']);
    await clean(a.name);

    // An address that somebody else routes already
    writeFileSync(a.file, text);
    appendFileSync(a.file, 'AllowedIPs = 198.18.0.0/24\n');
    await hosts.a.ns.ip('route add 198.18.0.0/24 dev veth0');
    before = await hosts.a.ns.routing();
    const taken = await wirestream(hosts.a.ns, ['up', a.file]);
    expect(taken.stderr).toMatch(/\nwirestream: ip route add 198\.18\.0\.0\/24 dev \w+: File exists\n/);
    expect(taken.code).toBe(1);
    await clean(a.name);
  });

  test('a tunnel whose own packets would go into it is refused; with a route around it is not', async () => {
    const a = await up('tcp');
    await a.down();
    postDownRan(a);
    const text = readFileSync(a.file, 'utf8').replace(/AllowedIPs = .*/, 'AllowedIPs = 128.0.0.0/1');
    writeFileSync(a.file, text);
    const refused = await wirestream(hosts.a.ns, ['up', a.file]);
    expect(refused.stderr).toMatch(
      /\nwirestream: the way to the endpoint 203\.0\.113\.9 leads into the tunnel itself\n {2}hint: /,
    );
    expect(refused.code).toBe(1);
    await clean(a.name);
    writeFileSync(a.file, text.replace('[Peer]', `PostUp = ip route add ${OUTER} via ${hosts.b.v4}\n[Peer]`));
    await a.up();
    await reachable(hosts.a.ns, FAR4);
    await a.down();
  });

  test('Ctrl-C during up, and in the foreground', async () => {
    const a = await up('tcp');
    await a.down();
    postDownRan(a);
    const text = readFileSync(a.file, 'utf8');
    writeFileSync(a.file, text.replace('[Peer]', 'PostUp = sleep 60\n[Peer]'));
    const hanging = hosts.a.ns.spawn([...WIRESTREAM, 'up', a.file]);
    await hanging.says(/sleep 60/);
    // As from a terminal: to the command and to what it runs.
    for (const pid of await hosts.a.ns.pids()) if (pid !== daemonOf(a)) process.kill(pid, 'SIGINT');
    expect((await hanging.ended).code).toBe(1);
    await clean(a.name);

    writeFileSync(a.file, text);
    const staying = hosts.a.ns.spawn([...WIRESTREAM, 'up', a.file, '--foreground']);
    await staying.says(/is up; Ctrl-C/);
    await reachable(hosts.a.ns, FAR4);
    await staying.says(/handshake completed/);
    expect((await staying.stop('SIGINT')).code).toBe(0);
    await clean(a.name);
    postDownRan(a);
  });

  function daemonOf(a: Wirestream): number {
    return (JSON.parse(readFileSync(runFiles(a.name)[2]!, 'utf8')) as { pid: number }).pid;
  }
});
