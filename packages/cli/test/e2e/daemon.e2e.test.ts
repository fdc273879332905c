import { spawn, spawnSync } from 'node:child_process';
import { existsSync, linkSync, mkdirSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { openTun } from '@wirestream/core/linux/tun';
import { close } from '@wirestream/core/linux/syscalls';
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { must, run, type Result } from './support/command.js';
import { identity } from './support/keys.js';
import type { Namespace } from './support/netns.js';
import { reachable } from './support/ping.js';
import { describeReal } from './support/requirements.js';
import { Scope, uniqueName } from './support/scope.js';
import { pair, type Pair } from './support/topology.js';
import { endpoint, writeWgQuick } from './support/wgquick.js';
import { until } from './support/until.js';
import { WIRESTREAM, runFiles } from './support/wirestream.js';

/** `wirestream-daemon` in the place of wireguard-go: for scripts, for wg-quick(8), and for those who pass descriptors. */
jest.setTimeout(120_000);

const HERE = fileURLToPath(import.meta.url);
const DAEMON = resolve(HERE, '../../../bin/wirestream-daemon.js');
const CONTRACT = resolve(HERE, '../support/contract.sh');
const PROGRAMS = [
  ['wireguard-go', 'wireguard-go'],
  ['wirestream-daemon', DAEMON],
] as const;

/** A program that is in the foreground says so by WG_PROCESS_FOREGROUND; the tests' own environment must not. */
const BACKGROUND = { WG_PROCESS_FOREGROUND: undefined, LOG_LEVEL: undefined };

describeReal('a userspace implementation, as wireguard-go is one', ['wg', 'wg-quick', 'wireguard-go', 'nft'], () => {
  const scope = new Scope();
  let hosts: Pair;
  beforeAll(async () => {
    hosts = await pair(scope);
  });
  afterAll(async () => scope.close());

  /** Names for two interfaces, and nothing left of them in the end. */
  const names = (): [string, string] => {
    const two = [uniqueName(), uniqueName()] as [string, string];
    const files = two.flatMap(runFiles);
    scope.defer(() => files.forEach((path) => rmSync(path, { force: true })), `rm -f ${files.join(' ')}`);
    return two;
  };

  test('a script that drives one runs unchanged with either, and sees the same', async () => {
    const outputs: string[] = [];
    for (const [, program] of PROGRAMS) {
      const result = await run([CONTRACT, program, hosts.a.ns.name, hosts.b.ns.name, ...names()], { deadline: 60_000 });
      expect(result.stderr).toBe('');
      expect(result.stdout).not.toContain('NO');
      outputs.push(result.stdout);
    }
    expect(outputs[1]).toBe(outputs[0]);
    expect(outputs[0]!.split('\n').filter((line) => line.endsWith(': yes')).length).toBeGreaterThan(15);
  });

  // Where the kernel has WireGuard, wg-quick does not ask for anybody else.
  const inKernel =
    existsSync('/sys/module/wireguard') ||
    spawnSync('unshare', ['-n', 'ip', 'link', 'add', 'wgprobe', 'type', 'wireguard']).status === 0;
  (inKernel ? describe.skip : describe)(`wg-quick${inKernel ? ' (SKIPPED: the kernel has WireGuard)' : ''}`, () => {
    const directory = scope.directory();
    const quick = async (ns: Namespace, program: string, verb: string, file: string, env = {}): Promise<Result> =>
      ns.run(['wg-quick', verb, file], { env: { ...BACKGROUND, WG_QUICK_USERSPACE_IMPLEMENTATION: program, ...env } });

    /** Two files for two interfaces that reach each other; a sends everything to b. */
    const files = (lines: readonly string[] = []) => {
      const [a, b] = names();
      const [keysA, keysB] = [identity(), identity()];
      const [fileA, fileB] = [join(directory, `${a}.conf`), join(directory, `${b}.conf`)];
      writeWgQuick(fileA, { privateKey: keysA.privateKey, address: ['10.98.0.1/24', 'fd98::1/64'], lines }, [
        { publicKey: keysB.publicKey, allowedIPs: ['0.0.0.0/0', '::/0'], endpoint: endpoint(hosts.b.v4, 9876) },
      ]);
      writeWgQuick(
        fileB,
        { privateKey: keysB.privateKey, address: ['10.98.0.2/24', 'fd98::2/64'], listenPort: 9876, lines },
        [{ publicKey: keysA.publicKey, allowedIPs: ['10.98.0.1/32', 'fd98::1/128'] }],
      );
      return { a, b, fileA, fileB };
    };

    const upAndDown = async (program: string, env: Record<string, string>, lines: readonly string[] = []) => {
      const { a, fileA, b, fileB } = files(lines);
      const before = await Promise.all([hosts.a.ns, hosts.b.ns].map(async (ns) => ns.routing()));
      for (const [ns, file] of [
        [hosts.b.ns, fileB],
        [hosts.a.ns, fileA],
      ] as const) {
        const { code, stderr } = await quick(ns, program, 'up', file, env);
        expect([code, stderr]).toEqual([0, expect.stringContaining(`[#] ${program} `)]);
      }
      await reachable(hosts.a.ns, '10.98.0.2');
      await reachable(hosts.a.ns, 'fd98::2');
      expect(await hosts.a.ns.mtu(a)).toBe(1420);
      const transport = (
        JSON.parse(await must([...WIRESTREAM, 'show', b, '--json'])) as Record<string, { transport?: string }>
      )[b]!.transport;
      for (const [ns, file] of [
        [hosts.a.ns, fileA],
        [hosts.b.ns, fileB],
      ] as const) {
        expect((await quick(ns, program, 'down', file)).code).toBe(0);
      }
      const ended = async (ns: Namespace) => (await ns.pids()).length === 0;
      await until('both processes to end', async () => (await ended(hosts.a.ns)) && (await ended(hosts.b.ns)));
      expect(await Promise.all([hosts.a.ns, hosts.b.ns].map(async (ns) => ns.routing()))).toEqual(before);
      return transport;
    };

    test.each(PROGRAMS)('up and down, everything through the tunnel: %s', async (_, program) => {
      expect(await upAndDown(program, {})).toBeUndefined();
    });

    test('over TCP, told by the environment', async () => {
      expect(await upAndDown(DAEMON, { WIRESTREAM_TRANSPORT: 'tcp' })).toBe('tcp');
    });

    test('over TCP, told by PostUp', async () => {
      const line = `PostUp = ${WIRESTREAM.join(' ')} set %i transport tcp`;
      expect(await upAndDown(DAEMON, {}, [line])).toBe('tcp');
    });
  });

  test('in the foreground it stays, says what happens when asked, and ends with 0', async () => {
    const [name] = names();
    for (const [argv, env] of [
      [['-f', name], {}],
      [['--foreground', name], { LOG_LEVEL: 'verbose' }],
      [[name], { WG_PROCESS_FOREGROUND: '1', LOG_LEVEL: 'silent' }],
    ] as const) {
      const child = hosts.a.ns.spawn([DAEMON, ...argv], { env: { ...BACKGROUND, ...env } });
      await until('the interface', async () => (await run(['wg', 'show', name])).code === 0);
      child.signal('SIGTERM');
      const { code, stdout, stderr } = await child.ended;
      expect([code, stdout]).toEqual([0, '']);
      if ('LOG_LEVEL' in env && env.LOG_LEVEL === 'verbose') expect(stderr).toContain(`(${name}) `);
      else expect(stderr).toBe('');
      expect(await hosts.a.ns.links()).not.toContain(name);
    }
  });

  test('it says what is wrong, and exits with 1 or 2', async () => {
    const said = async (argv: readonly string[], env = {}) => {
      const { code, stderr } = await hosts.a.ns.run([DAEMON, ...argv], { env: { ...BACKGROUND, ...env } });
      return [code, stderr.split('\n')[0]];
    };
    expect(await said([])).toEqual([2, 'wirestream: Usage: wirestream-daemon [-f|--foreground] INTERFACE-NAME']);
    expect(await said(['-f'])).toEqual([2, expect.stringContaining('Usage: ')]);
    expect(await said(['a', 'b'])).toEqual([2, expect.stringContaining('Usage: ')]);
    expect(await said(['sixteencharacter'])).toEqual([
      2,
      "wirestream: 'sixteencharacter' is not the name of an interface",
    ]);
    expect(await said(['veth0'])).toEqual([
      1,
      expect.stringMatching(/^wirestream: there is an interface veth0 already/),
    ]);
    expect(await said(['x'], { WIRESTREAM_TRANSPORT: 'sctp' })).toEqual([
      1,
      'wirestream: WIRESTREAM_TRANSPORT is not tcp, udp or auto',
    ]);
    expect(await said(['x'], { WG_TUN_FD: '99' })).toEqual([
      1,
      expect.stringMatching(/^wirestream: WG_TUN_FD is not /),
    ]);
    const { stdout, code } = await run([DAEMON, '--version']);
    expect([code, stdout]).toEqual([0, expect.stringMatching(/^wirestream-daemon v\d/)]);
  });

  test.each(PROGRAMS)('a TUN and a socket that are open already are taken over: %s', async (_, program) => {
    const [name] = names();
    const path = `/var/run/wireguard/${name}.sock`;
    mkdirSync('/var/run/wireguard', { recursive: true, mode: 0o700 });
    const server = createServer();
    // Under another name, since Node takes that one away when it closes.
    await new Promise<void>((done) => server.listen(`${path}.new`, done));
    linkSync(`${path}.new`, path);
    // That Node does so must change nothing any more: wireguard-go ends at whatever happens to its socket's inode, a link less included.
    rmSync(`${path}.new`);
    // The TUN is made in this process's namespace, which is everybody's: its name is ours alone.
    const tun = openTun({ name, offload: true });
    const { fd } = (server as unknown as { _handle: { fd: number } })._handle;
    const child = spawn(program, ['-f', 'another-name'], {
      stdio: ['ignore', 'ignore', 'inherit', tun.fd, fd],
      env: { PATH: process.env['PATH'], WG_TUN_FD: '3', WG_UAPI_FD: '4', WG_PROCESS_FOREGROUND: '1' },
    });
    close(tun.fd);
    const ended = new Promise<number | null>((done) => child.once('close', done));
    // Only the child answers from now on; its own descriptor keeps the socket listening.
    server.close();
    try {
      await until('an answer', async () => (await run(['wg', 'show', name, 'dump'])).code === 0);
    } finally {
      child.kill('SIGTERM');
    }
    expect(await ended).toBe(0);
    expect((await run(['ip', 'link', 'show', name])).code).not.toBe(0);
  });

  test('wirestream down takes it down, even under another name and in another place', async () => {
    const [name, renamed] = names();
    await hosts.a.ns.must([DAEMON, name], { env: BACKGROUND });
    await hosts.a.ns.ip(`link set ${name} name ${renamed}`, `link set ${renamed} netns ${hosts.b.ns.name}`);
    // Who wants to talk to it goes on using the name that it was started with.
    await must(['wg', 'set', name, 'listen-port', '9877']);
    expect(await must([...WIRESTREAM, 'show', name, 'listen-port'])).toBe('9877\n');
    const { code, stderr } = await run([...WIRESTREAM, 'down', name]);
    expect([code, stderr]).toEqual([0, '']);
    expect(await hosts.b.ns.links()).not.toContain(renamed);
  });
});
