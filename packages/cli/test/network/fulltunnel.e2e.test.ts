import { appendFileSync, existsSync, readFileSync, rmSync, unlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, jest, test } from '@jest/globals';
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
  /** a is two peers of b's, one for each transport, so that b can stay up. */
  const [keyB, keysA] = [identity(), { tcp: identity(), udp: identity() }];
  const innerA = { tcp: 1, udp: 3 } as const;
  const scope = new Scope();
  let hosts: Pair;
  let dir: string;
  let before: string;
  /** what the test at hand has made of a */
  const tunnels: Wirestream[] = [];

  beforeAll(async () => {
    dir = scope.directory();
    hosts = await pair(scope);
    const { a, b } = hosts;
    await b.ns.ip(`address add ${OUTER}/32 dev lo`, `address add ${FAR4}/32 dev lo`, `address add ${FAR6}/128 dev lo`);
    await a.ns.ip(`route add default via ${b.v4}`);
    // Strict: a packet is dropped unless its source would be reached by the interface that it came in on.
    await a.ns.sysctl({ 'net.ipv4.conf.all.rp_filter': 1, 'net.ipv4.conf.veth0.rp_filter': 1 });
    await Wirestream.up(scope, b.ns, {
      iface: { privateKey: keyB.privateKey, listenPort: PORT, address: ['10.9.0.2/24', 'fd09::2/64'] },
      peers: (['tcp', 'udp'] as const).map((transport) => ({
        publicKey: keysA[transport].publicKey,
        allowedIPs: [`10.9.0.${innerA[transport]}/32`, `fd09::${innerA[transport]}/128`],
        transport,
      })),
    });
    before = await a.ns.routing();
  });
  afterAll(async () => scope.close());
  afterEach(async () => {
    // After a failure; the next test begins where this one did.
    for (const tunnel of tunnels.splice(0)) {
      if (existsSync(runFiles(tunnel.name)[2]!)) await wirestream(hosts.a.ns, ['down', tunnel.file]);
    }
  });

  /** a, which is to send everything to b. */
  const prepare = (transport: 'tcp' | 'udp' = 'tcp'): Wirestream => {
    const host = innerA[transport];
    const a = Wirestream.down(scope, hosts.a.ns, {
      iface: {
        privateKey: keysA[transport].privateKey,
        transport,
        address: [`10.9.0.${host}/24`, `fd09::${host}/64`],
        lines: ['PreUp = ip link show dev %i', `PostDown = touch ${dir}/%i`],
      },
      peers: [{ publicKey: keyB.publicKey, allowedIPs: ['0.0.0.0/0', '::/0'], endpoint: `${OUTER}:${PORT}` }],
    });
    tunnels.push(a);
    return a;
  };
  const up = async (transport: 'tcp' | 'udp' = 'tcp'): Promise<Wirestream> => {
    const a = prepare(transport);
    await a.up();
    return a;
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

  /** On the local network, that is, where everybody could send packets for the tunnel's address. */
  const strangerIsKeptOut = async (address: string): Promise<void> => {
    const { a, b } = hosts;
    await b.ns.ip(`route add ${address}/32 via ${a.v4} table 99`, `rule add from ${b.v4} table 99`);
    expect(await ping(b.ns, address, 1, ['-I', b.v4])).toBeNull();
    await b.ns.ip(`rule del from ${b.v4} table 99`, `route del ${address}/32 table 99`);
  };

  test.each(['tcp', 'udp'] as const)(
    'over %s: nothing loops, nothing goes past it, strict filters let replies in, and no stranger reaches its address',
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
      await strangerIsKeptOut(`10.9.0.${innerA[transport]}`);
      await a.down();
      await clean(a.name);
      postDownRan(a);
    },
  );

  test('after a crash, down undoes what was done, and so does the next up', async () => {
    const a = await up();
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
    const a = await up();
    await end(a);
    await until('the daemon to end', () => !isAlive(a.pid));
    await clean(a.name);
    postDownRan(a);
    expect((await wirestream(hosts.a.ns, ['down', a.file])).stderr).toMatch(/^wirestream: \w+ is not up\n/);
  });

  test('what fails half-way leaves nothing', async () => {
    const a = prepare();
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
    await hosts.a.ns.ip('route del 198.18.0.0/24 dev veth0');
    before = await hosts.a.ns.routing();
  });

  test('a tunnel whose own packets would go into it is refused; with a route around it is not', async () => {
    const a = prepare();
    const text = readFileSync(a.file, 'utf8').replace(/AllowedIPs = .*/, 'AllowedIPs = 128.0.0.0/1');
    writeFileSync(a.file, text);
    const refused = await wirestream(hosts.a.ns, ['up', a.file]);
    expect(refused.stderr).toMatch(
      /\nwirestream: the way to the endpoint 203\.0\.113\.9 leads into the tunnel itself\n {2}hint: /,
    );
    expect(refused.code).toBe(1);
    await clean(a.name);
    const around = `PostUp = ip route add ${OUTER} via ${hosts.b.v4}\nPostDown = ip route del ${OUTER}\n`;
    writeFileSync(a.file, text.replace('[Peer]', `${around}[Peer]`));
    await a.up();
    await reachable(hosts.a.ns, FAR4);
    await a.down();
    await clean(a.name);
  });

  test('Ctrl-C during up, and in the foreground', async () => {
    const a = prepare();
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
