/**
 * The built command, without privileges: what it prints, how it fails, and tunnels of the portable driver, which need no
 * interface.
 */
import { spawn, spawnSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { Child, must, run } from '../e2e/support/command.js';
import { identity } from '../e2e/support/keys.js';
import { isAlive } from '../e2e/support/proc.js';
import { hasProgram } from '../e2e/support/requirements.js';
import { until } from '../e2e/support/until.js';
import { WIRESTREAM } from '../e2e/support/wirestream.js';

jest.setTimeout(60_000);

let dir: string;
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'ws-cmd-'));
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

/** What up says when everything runs in user space because that was asked for. */
const ROOTLESS = 'rootless: the tunnel runs in user space, without an interface (as asked)\n';

const env = () => ({ WIRESTREAM_RUN_DIR: join(dir, 'run') });
const wirestream = async (args: string[], more: { input?: string; env?: Record<string, string> } = {}) =>
  run([...WIRESTREAM, ...args], { ...more, env: { ...env(), ...more.env } });

/** Exit code and what was said on stderr. */
const failure = async (...args: string[]) => {
  const { code, stdout, stderr } = await wirestream(args);
  expect(stdout).toBe('');
  return [code, ...stderr.trimEnd().split('\n')];
};

describe('keys', () => {
  const KEY = /^[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=\n$/;

  test('genkey is clamped, genpsk is not, and no two are the same', async () => {
    const keys = await Promise.all([1, 2].map(async () => (await wirestream(['genkey'])).stdout));
    for (const text of keys) {
      expect(text).toMatch(KEY);
      const bytes = Buffer.from(text, 'base64');
      expect([bytes[0]! & 7, bytes[31]! & 0xc0]).toEqual([0, 0x40]);
    }
    expect(new Set(keys).size).toBe(2);
    expect((await wirestream(['genpsk'])).stdout).toMatch(KEY);
  });

  test('pubkey says what wg says', async () => {
    const { privateKey, publicKey } = identity();
    const input = `${privateKey}\n`;
    expect((await wirestream(['pubkey'], { input })).stdout).toBe(`${publicKey}\n`);
    if (hasProgram('wg')) expect(await must(['wg', 'pubkey'], { input })).toBe(`${publicKey}\n`);
  });

  test('pubkey of nonsense', async () => {
    const { code, stdout, stderr } = await wirestream(['pubkey'], { input: 'hello\n' });
    expect([code, stdout, stderr.split('\n')[0]]).toEqual([
      1,
      '',
      'wirestream: Key is not the correct length or format',
    ]);
  });

  test('a secret into a file that others can read is a warning, as wg gives it', () => {
    const file = join(dir, 'key');
    for (const [mode, warned] of [
      [0o644, true],
      [0o600, false],
    ] as const) {
      writeFileSync(file, '');
      chmodSync(file, mode);
      const script = `exec "$0" "$@" > ${file}`;
      const { stderr, status } = spawnSync('sh', ['-c', script, ...WIRESTREAM, 'genkey'], { encoding: 'utf8' });
      expect([status, stderr.startsWith('Warning: writing to world accessible file.\n')]).toEqual([0, warned]);
    }
  });
});

describe('what is wrong on the command line is 2, what goes wrong is 1, each in a line and a hint', () => {
  const WRONG: [string[], RegExp][] = [
    [['nonsense'], /^wirestream: command nonsense not found$/],
    [['show', '--nonsense'], /^wirestream: Nonexistent flag: --nonsense$/],
    [['show', 'wg0', 'nonsense'], /^wirestream: Expected nonsense to be one of: public-key, /],
    [['show', 'interfaces', 'dump'], /^wirestream: there are no fields of "interfaces"$/],
    [['show', 'all', 'dump', '--json'], /^wirestream: --json prints everything/],
    [['show', '../x'], /^wirestream: '\.\.\/x' is not the name of an interface$/],
    [['up'], /^wirestream: Missing 1 required arg/],
    [['up', 'a b'], /^wirestream: 'a b' is neither an interface's name nor a file NAME\.conf$/],
    [['up', 'a', 'b'], /^wirestream: Unexpected argument: b$/],
    [['up', 'a', '--driver', 'x'], /^wirestream: Expected --driver=x to be one of: linux, portable$/],
    [['down', './x.txt'], /^wirestream: 'x\.txt' is neither/],
  ];
  test(`${WRONG.length} wrong command lines`, async () => {
    const told = await Promise.all(WRONG.map(async ([args]) => failure(...args)));
    for (const [i, [code, first]] of told.entries()) {
      expect(first).toMatch(WRONG[i]![1]);
      expect(code).toBe(2);
    }
  });

  test('a name that nobody serves', async () => {
    expect(await failure('show', 'nosuch0')).toEqual([
      1,
      'wirestream: Unable to access interface nosuch0: No such device',
      '  hint: wirestream show interfaces lists what there is',
    ]);
    expect(await failure('down', 'nosuch0')).toEqual([
      1,
      'wirestream: nosuch0 is not up',
      expect.stringMatching(/^ {2}hint: wirestream show interfaces lists what is/),
    ]);
  });

  test('a configuration that is not there, or wrong', async () => {
    expect(await failure('up', join(dir, 'none.conf'))).toEqual([
      1,
      `wirestream: ${join(dir, 'none.conf')}: no such file`,
      '  hint: give the path of a file NAME.conf, or put the file into /etc/wireguard',
    ]);
    const file = join(dir, 'wrong.conf');
    writeFileSync(file, '[Interface]\nPrivateKy = x\n', { mode: 0o600 });
    expect(await failure('up', file)).toEqual([
      1,
      `wirestream: ${file}:2: unknown key PrivateKy in [Interface]`,
      '  hint: did you mean PrivateKey?',
    ]);
  });

  test('a reader that has seen enough is no error', () => {
    const script = '("$0" "$@"; echo "code $?" >&2) | true';
    const { stderr } = spawnSync('bash', ['-c', script, ...WIRESTREAM, 'show', '--help'], { encoding: 'utf8' });
    expect(stderr).toBe('code 0\n');
  });

  test('help, by flag and by word', async () => {
    const [byFlag, byWord] = [await wirestream(['up', '--help']), await wirestream(['help', 'up'])];
    expect(byFlag.stdout).toMatch(/USAGE\n +\$ wirestream up CONFIG/);
    expect([byWord.code, byWord.stdout]).toEqual([0, byFlag.stdout]);
  });
});

describe('tunnels of the portable driver', () => {
  const names: string[] = [];
  const [portA, portB] = [42_000 + (process.pid % 10_000), 52_000 + (process.pid % 10_000)];

  afterEach(async () => {
    rmSync(join(dir, 'postdown'), { force: true });
    for (const name of names.splice(0)) await wirestream(['down', name]);
  });

  const write = (name: string, text: string, where = dir): string => {
    const file = join(where, `${name}.conf`);
    writeFileSync(file, text, { mode: 0o600 });
    return file;
  };
  const two = () => {
    const [a, b] = [identity(), identity()];
    const fileA = write(
      'pa',
      `[Interface]\nPrivateKey=${a.privateKey}\nListenPort=${portA}\nTransport=tcp\nSaveConfig=true\nPostDown=touch ${dir}/postdown\n[Peer]\nPublicKey=${b.publicKey}\nAllowedIPs=10.0.0.2/32\n`,
    );
    const fileB = write(
      'pb',
      `[Interface]\nPrivateKey=${b.privateKey}\nListenPort=${portB}\nTransport=tcp\n[Peer]\nPublicKey=${a.publicKey}\nAllowedIPs=10.0.0.1/32\nEndpoint=localhost:${portA}\nPersistentKeepalive=1\n`,
    );
    return { a, b, fileA, fileB };
  };
  const up = async (file: string, name: string) => {
    names.push(name);
    const { code, stderr } = await wirestream(['up', file, '--driver', 'portable']);
    expect([code, stderr]).toEqual([0, ROOTLESS]);
  };
  const shown = async (name: string) =>
    (
      JSON.parse((await wirestream(['show', name, '--json'])).stdout) as Record<
        string,
        { peers: Record<string, Record<string, unknown>> }
      >
    )[name]!;

  test('up, a handshake, show, down', async () => {
    const { a, b, fileA, fileB } = two();
    await up(fileA, 'pa');
    await up(fileB, 'pb');
    const peer = await until('a handshake', async () => {
      const it = (await shown('pa')).peers[b.publicKey]!;
      return it['latestHandshake'] !== undefined && it;
    });
    expect(peer).toMatchObject({ transport: 'tcp', tcp: { connections: [{ direction: 'inbound', active: true }] } });
    expect((await wirestream(['show', 'interfaces'])).stdout).toBe('pa pb\n');
    expect((await wirestream(['show', 'pb', 'endpoints'])).stdout).toBe(`${a.publicKey}\t127.0.0.1:${portA}\n`);
    const all = (await wirestream(['show'])).stdout;
    expect(all).toMatch(/^interface: pa\n[^]+\n\ninterface: pb\n[^]+connection 1: outbound, authenticated, active, /);

    // The configuration is written back as it is now, and the file stays for its owner only.
    expect((await wirestream(['down', 'pa'])).code).toBe(0);
    const saved = readFileSync(fileA, 'utf8');
    expect(saved).toMatch(new RegExp(`Endpoint = 127\\.0\\.0\\.1:\\d+\n`));
    expect(saved).toContain('SaveConfig = true');
    expect(saved).toContain(`PrivateKey = ${a.privateKey}`);
    expect(statSync(fileA).mode & 0o777).toBe(0o600);
    expect(existsSync(join(dir, 'postdown'))).toBe(true);
    expect((await wirestream(['down', fileB])).code).toBe(0);
    names.length = 0;
    expect(readdirSync(join(dir, 'run')).concat(readdirSync(join(dir, 'run', 'wireguard')))).toEqual(['wireguard']);
    expect((await wirestream(['show', 'interfaces'])).stdout).toBe('');
  });

  test('up twice is an error, and disturbs nothing', async () => {
    const { fileA } = two();
    await up(fileA, 'pa');
    expect(await failure('up', fileA, '--driver', 'portable')).toEqual([
      1,
      ROOTLESS.trim(),
      'wirestream: pa is up already',
      '  hint: take it down first: wirestream down pa',
    ]);
    expect((await shown('pa')).peers).toBeDefined();
  });

  test('a port that is taken is told by the command, and nothing is left', async () => {
    const { fileA, a, b } = two();
    await up(fileA, 'pa');
    const file = write(
      'pc',
      `[Interface]\nPrivateKey=${b.privateKey}\nListenPort=${portA}\n[Peer]\nPublicKey=${a.publicKey}\n`,
    );
    expect(await failure('up', file, '--driver', 'portable')).toEqual([
      1,
      ROOTLESS.trim(),
      `wirestream: port ${portA} is in use`,
      expect.stringMatching(/^ {2}hint: choose another ListenPort/),
    ]);
    expect(readdirSync(join(dir, 'run')).filter((name) => name.startsWith('pc'))).toEqual([]);
  });

  test('the command killed before it is done takes the daemon along', async () => {
    const { fileA } = two();
    writeFileSync(fileA, readFileSync(fileA, 'utf8').replace('[Peer]', 'PostUp=echo here; sleep 60\n[Peer]'));
    const child = spawn(WIRESTREAM[0], [WIRESTREAM[1], 'up', fileA, '--driver', 'portable'], {
      env: { ...process.env, ...env() },
      detached: true,
    });
    await new Promise((resolve) => child.stdout.once('data', resolve));
    const { pid } = JSON.parse(readFileSync(join(dir, 'run', 'pa.json'), 'utf8')) as { pid: number };
    // The command and its hook; the daemon has a session of its own.
    process.kill(-child.pid!, 'SIGKILL');
    await until('the daemon to end', () => !isAlive(pid));
    expect(readdirSync(join(dir, 'run')).filter((name) => name.startsWith('pa'))).toEqual([]);
  });

  test('down ends a daemon that has lost its socket', async () => {
    const { fileA } = two();
    await up(fileA, 'pa');
    const { pid } = JSON.parse(readFileSync(join(dir, 'run', 'pa.json'), 'utf8')) as { pid: number };
    rmSync(join(dir, 'run', 'pa.sock'));
    const { code, stderr } = await wirestream(['down', 'pa']);
    expect([code, stderr]).toEqual([0, `warning: the daemon of pa has no socket; sending SIGTERM to process ${pid}\n`]);
    expect(isAlive(pid)).toBe(false);
    expect(readdirSync(join(dir, 'run')).filter((name) => name.startsWith('pa'))).toEqual([]);
    expect(existsSync(join(dir, 'postdown'))).toBe(true);
  });

  test('a pipe is let go: what reads the command sees its end', async () => {
    const { fileA } = two();
    names.push('pa');
    const { status } = spawnSync(
      'bash',
      ['-c', '"$0" "$@" 2>&1 | cat', ...WIRESTREAM, 'up', fileA, '--driver', 'portable'],
      {
        env: { ...process.env, ...env() },
        timeout: 20_000,
      },
    );
    expect(status).toBe(0);
  });
});

const asRoot = process.getuid?.() === 0 ? describe : describe.skip;
asRoot('Ctrl-C', () => {
  test('while a name server is waited for ends up at once', async () => {
    const file = join(dir, 'dns.conf');
    const { privateKey, publicKey } = identity();
    const peer = `[Peer]\nPublicKey=${publicKey}\nEndpoint=host.invalid.example:1\n`;
    writeFileSync(file, `[Interface]\nPrivateKey=${privateKey}\n${peer}`, { mode: 0o600 });
    // Without any network no name server answers.
    const child = new Child(['unshare', '-n', ...WIRESTREAM, 'up', '--rootless', file], { env: env() });
    await child.says(/Trying again in/);
    child.signal('SIGINT');
    const { code, stderr } = await child.ended;
    expect([code, stderr.trimEnd().split('\n').pop()]).toEqual([1, 'wirestream: interrupted']);
  });
});

asRoot(`without privileges${process.getuid?.() === 0 ? '' : ' (SKIPPED: needs root to give them up)'}`, () => {
  const NOBODY = 65_534;
  const asNobody = (args: string[], environment: Record<string, string>) =>
    spawnSync(WIRESTREAM[0], [WIRESTREAM[1], ...args], {
      uid: NOBODY,
      gid: NOBODY,
      env: { PATH: process.env['PATH'], ...environment },
      encoding: 'utf8',
    });

  test('no interface, but a tunnel all the same, and files that nobody else can read', () => {
    const home = mkdtempSync(join(tmpdir(), 'ws-nobody-'));
    chmodSync(home, 0o755);
    const file = join(home, 'nb.conf');
    writeFileSync(file, `[Interface]\nPrivateKey=yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk=\n`, { mode: 0o600 });
    chownSync(file, NOBODY, NOBODY);
    const runtime = join(home, 'runtime');
    mkdirSync(runtime, { mode: 0o700 });
    chownSync(runtime, NOBODY, NOBODY);
    const environment = { XDG_RUNTIME_DIR: runtime };
    try {
      const refused = asNobody(['up', file, '--driver', 'linux'], environment);
      expect(refused.stderr).toMatch(/^wirestream: may not [^\n]+\n {2}hint: [^\n]+\n$/);
      expect(refused.status).toBe(1);
      const up = asNobody(['up', file], environment);
      expect([up.status, up.stderr]).toEqual([
        0,
        expect.stringMatching(/^rootless: [^\n]+ \(there is no permission [^\n]+\)\n$/),
      ]);
      expect(asNobody(['show', 'interfaces'], environment).stdout).toBe('nb\n');
      expect(statSync(join(runtime, 'wirestream')).mode & 0o777).toBe(0o700);
      expect(statSync(join(runtime, 'wirestream', 'nb.sock')).mode & 0o777).toBe(0o600);
      expect(asNobody(['down', file], environment)).toMatchObject({ status: 0, stderr: '' });
      chmodSync(file, 0o600);
      chownSync(file, 0, 0);
      const unreadable = asNobody(['up', file], environment);
      expect([unreadable.status, unreadable.stderr.split('\n')[0]]).toEqual([
        1,
        `wirestream: ${file}: permission denied`,
      ]);
    } finally {
      rmSync(home, { recursive: true, force: true });
    }
  });
});
