import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { HAS_TSHARK, expected, tshark } from '../decode/referee.js';
import { linesOf, run, type Line } from '../decode/run.js';
import type { Child } from './support/command.js';
import { identity } from './support/keys.js';
import { flood, ping } from './support/ping.js';
import { describeReal } from './support/requirements.js';
import { Scope } from './support/scope.js';
import { Capture } from './support/tcpdump.js';
import { pair, type Pair } from './support/topology.js';
import { pause, until } from './support/until.js';
import { endpoint } from './support/wgquick.js';
import { WIRESTREAM, Wirestream, spawnWirestream, wirestream } from './support/wirestream.js';

/** `wirestream capture` of a running tunnel and of a network interface, with tcpdump and tshark beside it. */
jest.setTimeout(120_000);

const PORT = 51820;
const [KEY_A, KEY_B] = [identity(), identity()];

/** What a message is and what it consists of, by the direction in which it went. */
function messagesOf(lines: readonly Line[], end: number): Record<string, string[]> {
  const out: Record<string, string[]> = {};
  for (const line of lines) {
    if (line['type'] !== 'message' || Number(line['time']) > end) continue;
    const { type, sender, receiver, counter, ephemeral } = line['wg'] as Line;
    const inner =
      line['inner'] === undefined ? '' : createHash('sha256').update(JSON.stringify(line['inner'])).digest('hex');
    const text = [type, sender, receiver, counter, ephemeral, line['length'], line['status'], inner].join(' ');
    (out[`${line['from']} → ${line['to']}`.replaceAll(/:(?!51820)[0-9]+/g, ':…')] ??= []).push(text);
  }
  return out;
}

const bytesOf = (file: string) => new Uint8Array(readFileSync(file));
const decoded = (file: string, keys: readonly string[]) => linesOf(run(bytesOf(file), keys));

describeReal('captures', ['tcpdump'], () => {
  const common = new Scope();
  let hosts: Pair;
  beforeAll(async () => {
    hosts = await pair(common);
  });
  afterAll(async () => common.close());

  let scope: Scope;
  beforeEach(() => {
    scope = new Scope();
  });
  afterEach(async () => scope.close());

  async function up(transport: 'tcp' | 'udp', keyLog: string): Promise<{ a: Wirestream; b: Wirestream }> {
    const base = { listenPort: PORT, transport } as const;
    const b = Wirestream.up(scope, hosts.b.ns, {
      iface: { ...base, privateKey: KEY_B.privateKey, address: ['10.9.0.2/24'] },
      peers: [{ publicKey: KEY_A.publicKey, allowedIPs: ['10.9.0.1/32'] }],
    });
    const a = Wirestream.down(scope, hosts.a.ns, {
      iface: { ...base, privateKey: KEY_A.privateKey, address: ['10.9.0.1/24'] },
      peers: [{ publicKey: KEY_B.publicKey, allowedIPs: ['10.9.0.2/32'], endpoint: endpoint(hosts.b.v4, PORT) }],
    });
    await a.up(['--key-log', keyLog]);
    return { a, b: await b };
  }

  async function capturing(args: readonly string[], home = hosts.a.ns): Promise<Child> {
    const child = spawnWirestream(home, ['capture', ...args]);
    scope.defer(async () => void (await child.stop('SIGKILL')));
    await child.says(/Ctrl-C ends it/);
    return child;
  }

  describe.each(['tcp', 'udp'] as const)('of a tunnel over %s', (transport) => {
    test('tcpdump, the interface and the tunnel itself agree on every message, and tshark on every field', async () => {
      const folder = scope.directory();
      const [live, wire, keys] = ['live.pcapng', 'wire.pcapng', 'keys'].map((name) => join(folder, name)) as [
        string,
        string,
        string,
      ];
      const tunnels = await up(transport, keys);
      const dump = await Capture.start(scope, hosts.a.ns, hosts.a.dev, `port ${PORT}`);
      const [ofTunnel, ofWire] = await Promise.all([
        capturing([tunnels.a.name, '--keys', '--outer', '--inner', '--records', '-w', live]),
        capturing(['--interface', hosts.a.dev, '--port', `${PORT}`, '-w', wire]),
      ]);
      expect(await ping(hosts.a.ns, '10.9.0.2', 3)).not.toBeNull();
      expect(await flood(hosts.a.ns, '10.9.0.2', 100)).toMatchObject({ lost: [] });
      expect(await flood(hosts.b.ns, '10.9.0.1', 100)).toMatchObject({ lost: [] });
      await hosts.a.ns.must(['ping', '-q', '-c', '3', '-i', '0.05', '-s', '5000', '10.9.0.2']);
      // What comes from here on may meet some of the captures only; one packet, so that it is seen how far tcpdump is.
      await pause(100);
      const end = Date.now() / 1000;
      expect(await ping(hosts.a.ns, '10.9.0.2', 3)).not.toBeNull();
      await until('tcpdump to get there', async () => {
        const last = (await dump.packets()).at(-1);
        return last !== undefined && Number(last.split(' ')[0]) > end;
      });
      const [saidLive, saidWire, dumped] = await Promise.all([
        ofTunnel.stop('SIGINT'),
        ofWire.stop('SIGINT'),
        dump.stop(),
      ]);
      expect([saidLive.code, saidWire.code]).toEqual([0, 0]);
      for (const { stderr } of [saidLive, saidWire]) expect(stderr).not.toMatch(/missing/);
      expect(dump.child.stderr).toMatch(/^0 packets dropped by kernel/m);

      const whole = decoded(live, []);
      const mine = messagesOf(whole, end);
      expect(Object.keys(mine)).toHaveLength(2);
      for (const list of Object.values(mine)) expect(list.length).toBeGreaterThan(200);
      expect(mine).toEqual(messagesOf(decoded(dumped, [keys]), end));
      expect(mine).toEqual(messagesOf(decoded(wire, [keys]), end));
      expect(whole.at(-1)).toMatchObject({ type: 'summary', undecrypted: 0, errors: 0, handshakesCompleted: 1 });
      // Nobody else may read what holds keys.
      expect(statSync(live).mode & 0o777).toBe(0o600);
      if (HAS_TSHARK) expect(tshark(live)).toEqual(expected(whole, true));
    });
  });

  test('the dissector finds the same messages in the TCP stream itself as tshark sees in what capture wrote', async () => {
    if (!HAS_TSHARK) return;
    const folder = scope.directory();
    const [live, keys] = [join(folder, 'live.pcapng'), join(folder, 'keys')];
    const tunnels = await up('tcp', keys);
    const dump = await Capture.start(scope, hosts.a.ns, hosts.a.dev, `port ${PORT}`);
    const capture = await capturing([tunnels.a.name, '--records', '--outer', '-w', live]);
    expect(await flood(hosts.a.ns, '10.9.0.2', 50)).toMatchObject({ lost: [] });
    await hosts.a.ns.must(['ping', '-q', '-c', '2', '-i', '0.05', '-s', '9000', '10.9.0.2']);
    await capture.stop('SIGINT');
    const stream = await dump.stop();
    await hosts.a.ns.must([...WIRESTREAM, 'capture', '--install-extcap', folder]);
    const script = ['-X', `lua_script:${join(folder, 'wirestream.lua')}`];
    const shape = [
      '-T',
      'fields',
      '-E',
      'occurrence=a',
      '-e',
      'wg.type',
      '-e',
      'wg.counter',
      '-e',
      'wirestream.length',
    ];
    const read = async (file: string, filter: string): Promise<string[][]> => {
      const text = await hosts.a.ns.must(['tshark', '-n', '-r', file, ...script, '-Y', filter, ...shape]);
      // Several records may be in one segment.
      return text.split('\n').map((line) => line.split(/[\t,]/));
    };
    const flat = (rows: string[][]) => rows.flat().filter(Boolean).sort();
    const inStream = flat(await read(stream, 'wirestream'));
    expect(inStream.length).toBeGreaterThan(3 * 100);
    expect(inStream).toEqual(flat(await read(live, 'wirestream && frame.interface_id == 2')));
  });

  test('ends by itself, keeps a ring of files, takes one peer only, and says what is wrong', async () => {
    const folder = scope.directory();
    const { a } = await up('tcp', join(folder, 'keys'));
    const home = hosts.a.ns;
    const three = await capturing([a.name, '--count', '3', '-w', join(folder, 'three.pcapng')]);
    const short = await capturing([a.name, '--duration', '1s', '-w', join(folder, 'short.pcapng')]);
    const counted = await capturing([
      a.name,
      '--inner',
      '--peer',
      KEY_B.publicKey.slice(0, 8),
      '-w',
      join(folder, 'peer.pcapng'),
    ]);
    const ring = await capturing([a.name, '-w', join(folder, 'ring.pcapng'), '--ring', '2x64kB']);
    expect(await flood(home, '10.9.0.2', 50)).toMatchObject({ lost: [] });
    await home.must(['ping', '-q', '-c', '20', '-i', '0.02', '-s', '9000', '10.9.0.2']);
    expect(await three.ended).toMatchObject({ code: 0, stderr: expect.stringMatching(/captured/) });
    expect(decoded(join(folder, 'three.pcapng'), []).at(-1)).toMatchObject({ errors: 0 });
    expect(await short.ended).toMatchObject({ code: 0 });
    expect((await ring.stop('SIGINT')).code).toBe(0);
    expect((await counted.stop('SIGINT')).stderr).toMatch(/captured 0 outer, [1-9][0-9]+ inner packets, 0 records/);
    const files = (await home.must(['sh', '-c', `ls ${folder}/ring_*`])).trim().split('\n');
    expect(files).toHaveLength(2);
    expect(files[0]).not.toMatch(/_00001\.pcapng$/);
    // Each file stands on its own.
    for (const file of files) expect(decoded(file, []).at(-1)).toMatchObject({ errors: 0 });

    const nobody = await wirestream(home, ['capture', 'nosuchtunnel', '-w', join(folder, 'x.pcapng')]);
    expect(nobody).toMatchObject({ code: 1, stderr: expect.stringContaining('there is no tunnel nosuchtunnel') });
    const stranger = await wirestream(home, ['capture', a.name, '--peer', '////', '-w', join(folder, 'x.pcapng')]);
    expect(stranger).toMatchObject({ code: 2, stderr: expect.stringContaining('--peer ////') });

    // The tunnel goes away under a capture.
    const left = await capturing([a.name, '-w', join(folder, 'left.pcapng')]);
    await a.down();
    expect(await left.ended).toMatchObject({ code: 0, stderr: expect.stringContaining('the tunnel has gone away') });
  });

  test('tshark captures a tunnel through the extcap program', async () => {
    if (!HAS_TSHARK) return;
    const folder = scope.directory();
    const { a } = await up('tcp', join(folder, 'keys'));
    const env = { HOME: folder, XDG_CONFIG_HOME: undefined };
    mkdirSync(join(folder, '.config', 'wireshark'), { recursive: true });
    const installed = await hosts.a.ns.must([...WIRESTREAM, 'capture', '--install-extcap'], { env });
    expect(installed).toContain(folder);
    const name = `wirestream-${a.name}`;
    expect(await hosts.a.ns.must(['tshark', '-D'], { env })).toContain(name);
    const child = hosts.a.ns.spawn(['tshark', '-l', '-n', '-i', name, '-c', '8', '-Y', 'icmp'], { env });
    scope.defer(async () => void (await child.stop('SIGKILL')));
    await child.says(/Capturing on/);
    await until(
      'packets to be seen',
      async () => {
        await ping(hosts.a.ns, '10.9.0.2', 1);
        return child.stdout.includes('Echo (ping) reply') || !child.running;
      },
      { deadline: 40_000 },
    );
    expect(child.stdout).toContain('Echo (ping) request');
  });
});
