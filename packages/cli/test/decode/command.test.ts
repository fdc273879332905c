import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, openSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { CaptureReader } from '@wirestream/core/capture/capturefile';
import { PcapngWriter } from '@wirestream/core/capture/pcapngwriter';
import type { Line } from './run.js';
import { pathOf, readFixture } from './sidecar.js';

const BIN = fileURLToPath(new URL('../../bin/run.js', import.meta.url));
const IS_BUILT = existsSync(fileURLToPath(new URL('../../dist/commands/decode.js', import.meta.url)));

interface Ended {
  readonly code: number | null;
  readonly out: Buffer;
  readonly err: string;
}

/** Runs the built command. @param input what to send to its standard input @param close its standard output after so many bytes */
function wirestream(args: readonly string[], input?: Uint8Array, close = Infinity): Promise<Ended> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [BIN, ...args], { env: { ...process.env, NODE_OPTIONS: '' } });
    const out: Buffer[] = [];
    let err = '';
    child.stdout.on('data', (chunk: Buffer) => {
      out.push(chunk);
      if (out.reduce((n, { length }) => n + length, 0) >= close) child.stdout.destroy();
    });
    child.stderr.on('data', (chunk: Buffer) => (err += chunk.toString()));
    child.on('error', reject);
    child.on('close', (code) => resolve({ code, out: Buffer.concat(out), err }));
    child.stdin.on('error', () => undefined);
    child.stdin.end(input ?? new Uint8Array(0));
  });
}

const lines = ({ out }: Ended) => out.toString().trimEnd().split('\n');
const summary = (ended: Ended) => JSON.parse(lines(ended).pop()!) as Line;
const packets = (file: Uint8Array) => {
  let n = 0;
  const reader = new CaptureReader({ packet: () => n++ });
  reader.push(file);
  reader.end();
  return n;
};

/** Every complaint is one line and perhaps a hint, and nothing that looks like a stack trace. */
function expectComplaint(err: string, message: RegExp): void {
  expect(err).toMatch(message);
  expect(err).not.toMatch(/^\s+at /m);
  expect(
    err
      .trimEnd()
      .split('\n')
      .every((line) => /^wirestream: |^ {2}hint: /.test(line)),
  ).toBe(true);
}

(IS_BUILT ? describe : describe.skip)('wirestream decode', () => {
  let folder: string;
  const file = (name: string) => join(folder, name);
  const keys = (name: string) => ['--keys', pathOf(`${name}.json`)];

  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'wirestream-decode-'));
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  test('prints JSON Lines, the summary last', async () => {
    const ended = await wirestream(['decode', pathOf('tcp-rekey.pcap'), '--json', ...keys('tcp-rekey')]);
    expect([ended.code, ended.err]).toEqual([0, '']);
    for (const line of lines(ended)) expect(typeof (JSON.parse(line) as Line)['type']).toBe('string');
    expect(summary(ended)).toMatchObject({
      type: 'summary',
      connections: 1,
      handshakesCompleted: 2,
      decrypted: 58,
      undecrypted: 0,
    });
  });

  test('prints a timeline without colours when nobody looks, and a summary', async () => {
    const ended = await wirestream(['decode', ...keys('tcp-resync-garbage'), pathOf('tcp-resync-garbage.pcap')]);
    const text = ended.out.toString();
    expect(ended.code).toBe(0);
    expect(text).toMatch(/0\.002211 tcp 0 .* 10\.99\.0\.1:50382 → 10\.99\.0\.2:51820 dials/);
    expect(text).toMatch(/resync: 7 bytes at offset 0 belong to no record/);
    expect(text).toMatch(/response .* B → A .* handshake completed in 3\.2\d ms, session 1 {2}verified/);
    expect(text).toMatch(/10\.77\.0\.1 → 10\.77\.0\.2 icmp echo request/);
    expect(text).toMatch(/resyncs +64, 1144 bytes passed over/);
    expect(text).not.toContain('\u001b');
    const short = await wirestream(['decode', '--summary', ...keys('tcp-rekey'), pathOf('tcp-rekey.pcap')]);
    expect(short.out.toString()).toMatch(/2 handshakes, 1 of them to rekey/);
    expect(short.out.toString()).not.toMatch(/dials/);
    const brief = await wirestream(['decode', '--json', '--summary', ...keys('tcp-rekey'), pathOf('tcp-rekey.pcap')]);
    expect(lines(brief).map((line) => (JSON.parse(line) as Line)['type'] as string)).toEqual([
      'connection',
      'peers',
      'summary',
    ]);
  });

  test('destroys neither what it reads nor, for a mistyped name, what it would have written', async () => {
    const bytes = Buffer.from(readFixture('tcp-rekey.pcap')!);
    const keyText = readFileSync(pathOf('tcp-rekey.json'));
    const [capture, sidecar, kept] = ['capture.pcap', 'sidecar.json', 'kept.pcapng'].map(file) as [
      string,
      string,
      string,
    ];
    writeFileSync(capture, bytes);
    writeFileSync(sidecar, keyText);
    writeFileSync(kept, 'kept');
    for (const [out, input] of [
      [['--write-inner', capture], capture],
      [['--to-udp', `${folder}/./capture.pcap`], capture],
      [['--svg', sidecar], capture],
      [['--to-udp', file('new.pcapng'), '--write-inner', `${folder}/./new.pcapng`], capture],
      [['--to-udp', kept], file('mistyped.pcap')],
    ] as const) {
      const ended = await wirestream(['decode', '--keys', sidecar, ...out, input]);
      expect(ended.code).toBe(input === capture ? 2 : 1);
      expectComplaint(ended.err, /is to be read, and cannot be written|is named for two outputs|no such file/);
    }
    expect(readFileSync(capture).equals(bytes)).toBe(true);
    expect(readFileSync(sidecar).equals(keyText)).toBe(true);
    expect(readFileSync(kept, 'utf8')).toBe('kept');
    expect(existsSync(file('new.pcapng'))).toBe(false);
  });

  test.each([['--write-inner'], ['--to-udp']])('a reader of %s - that has seen enough is no error', async (option) => {
    const input = pathOf('tcp-bulk.pcap');
    const ended = await wirestream(['decode', ...keys('tcp-bulk'), option, '-', input], undefined, 1);
    expect([ended.code, ended.err]).toEqual([0, '']);
  });

  (existsSync('/dev/full') ? test : test.skip)(
    'a full disk is told in one line, whatever is written to it',
    async () => {
      const input = pathOf('tcp-bulk.pcap');
      const args = [BIN, 'decode', ...keys('tcp-bulk')];
      const full = (more: readonly string[], out: string) =>
        spawnSync(process.execPath, [...args, ...more, input], { stdio: ['ignore', openSync(out, 'w'), 'pipe'] });
      const said = (more: readonly string[], out: string) => {
        const { status, stderr } = full(more, out);
        expect(status).toBe(1);
        return stderr.toString();
      };
      expect(said(['--json'], '/dev/full')).toBe('wirestream: standard output: no space left on the device\n');
      for (const option of ['--to-udp', '--write-inner', '--svg'])
        expect(said([option, '/dev/full'], '/dev/null')).toBe('wirestream: /dev/full: no space left on the device\n');
    },
  );

  test('reads standard input, and gzip, in one or several members', async () => {
    const bytes = readFixture('udp-rekey.pcap')!;
    const half = 5000;
    const members = Buffer.concat([gzipSync(bytes.subarray(0, half)), gzipSync(bytes.subarray(half))]);
    writeFileSync(file('members.pcap.gz'), members);
    for (const [args, input] of [
      [['decode', '-', '--json'], bytes],
      [['decode', '-', '--json'], gzipSync(bytes)],
      [['decode', file('members.pcap.gz'), '--json'], undefined],
    ] as const) {
      const ended = await wirestream(args, input);
      expect([ended.code, ended.err]).toEqual([0, '']);
      expect(summary(ended)).toMatchObject({ messages: { data: 57 }, udpFlows: 1 });
    }
  });

  test('several sources of keys add up', async () => {
    const side = JSON.parse(readFileSync(pathOf('udp-rekey.json'), 'utf8')) as Line;
    const conf = `[Interface]\nPrivateKey = ${side['A']['private_key']}\n[Peer]\nPublicKey = ${side['B']['public_key']}\nPresharedKey = ${side['preshared_key']}\nAllowedIPs = 0.0.0.0/0\n`;
    const log = (side['handshake_ephemeral_private_keys'] as string[]).map(
      (key) => `LOCAL_EPHEMERAL_PRIVATE_KEY = ${key}\n`,
    );
    writeFileSync(file('a.conf'), conf, { mode: 0o600 });
    writeFileSync(file('keys.log'), log.join(''), { mode: 0o600 });
    const decode = async (...args: string[]) =>
      summary(await wirestream(['decode', '--json', pathOf('udp-rekey.pcap'), ...args]));
    expect(await decode('--keys', file('a.conf'), '--keys', file('keys.log'))).toMatchObject({ decrypted: 57 });
    expect(await decode('--keys', file('a.conf'))).toMatchObject({ decrypted: 0, handshakesCompleted: 2 });
  });

  test('writes inner packets and UDP packets, readable only by their owner', async () => {
    const inner = file('inner.pcapng');
    const udp = file('udp.pcapng');
    const ended = await wirestream([
      'decode',
      '--json',
      '--write-inner',
      inner,
      '--to-udp',
      udp,
      '--embed-keys',
      ...keys('tcp-fragments'),
      pathOf('tcp-fragments.pcap'),
    ]);
    expect([ended.code, ended.err]).toEqual([0, '']);
    expect(packets(readFileSync(inner))).toBe(summary(ended)['innerPackets']);
    expect(statSync(inner).mode & 0o077).toBe(0);
    // The keys went along, so that the new file needs none.
    const again = summary(await wirestream(['decode', '--json', udp]));
    expect(again).toMatchObject({ decrypted: 71, handshakesCompleted: 1, records: 0, connections: 0 });
    const piped = await wirestream([
      'decode',
      '--write-inner',
      '-',
      ...keys('tcp-fragments'),
      pathOf('tcp-fragments.pcap'),
    ]);
    expect(packets(piped.out)).toBe(summary(ended)['innerPackets']);
    const classic = file('inner.pcap');
    await wirestream([
      'decode',
      '--summary',
      '--write-inner',
      classic,
      ...keys('tcp-fragments'),
      pathOf('tcp-fragments.pcap'),
    ]);
    expect(readFileSync(classic).readUInt32LE(0)).toBe(0xa1b23c4d);
  });

  test('without being asked, writes no key anywhere', async () => {
    const udp = file('nokeys.pcapng');
    const ended = await wirestream([
      'decode',
      '--json',
      '--to-udp',
      udp,
      ...keys('udp-rekey'),
      pathOf('udp-rekey.pcap'),
    ]);
    const side = JSON.parse(readFileSync(pathOf('udp-rekey.json'), 'utf8')) as Line;
    const secrets = [
      side['A']['private_key'],
      side['B']['private_key'],
      side['preshared_key'],
      ...side['handshake_ephemeral_private_keys'],
    ] as string[];
    const written = readFileSync(udp);
    for (const secret of secrets) {
      for (const place of [written, ended.out]) {
        expect(place.includes(secret)).toBe(false);
        expect(place.includes(Buffer.from(secret, 'base64'))).toBe(false);
      }
    }
  });

  test('a reader that has seen enough is no error', async () => {
    const ended = await wirestream(['decode', '--json', pathOf('tcp-bulk.pcap')], undefined, 1000);
    expect([ended.code, ended.err]).toEqual([0, '']);
  });

  test('a live capture is shown as it comes', async () => {
    const bytes = readFixture('udp-handshake-ping.pcap')!;
    const child = spawn(process.execPath, [BIN, 'decode', '-'], { env: { ...process.env, NODE_OPTIONS: '' } });
    child.stdin.write(bytes.subarray(0, 4000));
    const text = await new Promise<string>((resolve) => {
      let seen = '';
      child.stdout.on('data', (chunk: Buffer) => {
        seen += chunk.toString();
        if (/data/.test(seen)) resolve(seen);
      });
    });
    expect(text).toMatch(/initiation/);
    child.stdin.end(bytes.subarray(4000));
    expect(await new Promise((resolve) => child.on('close', resolve))).toBe(0);
  });

  test('what could be read of a damaged capture is shown, and the exit code is 1', async () => {
    const bytes = readFixture('tcp-rekey.pcap')!;
    writeFileSync(file('cut.pcap'), bytes.subarray(0, 9999));
    const cut = await wirestream(['decode', '--json', file('cut.pcap')]);
    expect(cut.code).toBe(1);
    expect(summary(cut)).toMatchObject({ type: 'summary', errors: 1, handshakesCompleted: 1 });
    expectComplaint(cut.err, /cut\.pcap: the capture is cut off inside packet \d+, at byte \d+/);

    writeFileSync(file('cut.gz'), gzipSync(bytes).subarray(0, 5000));
    const short = await wirestream(['decode', '--json', file('cut.gz')]);
    expect(short.code).toBe(1);
    expect(summary(short)['records']).toBeGreaterThan(5);
    expectComplaint(short.err, /compressed capture is cut off/);

    const broken = gzipSync(bytes);
    broken.fill(0xff, 6000, 6100);
    const damaged = await wirestream(['decode', '--json', '-'], broken);
    expect(damaged.code).toBe(1);
    expectComplaint(damaged.err, /compressed data is damaged|cut off/);

    // Cut between packets, but in the middle of a record.
    const stream = readFixture('tcp-short-writes.pcap')!;
    let at = 24;
    for (let i = 0; i < 700; i++) at += 16 + Buffer.from(stream).readUInt32LE(at + 8);
    const record = await wirestream(['decode', '--json', '-'], stream.subarray(0, at));
    expect(record.code).toBe(1);
    expectComplaint(record.err, /ends at packet 700 in the middle of a record from 10\.99\.0\./);
    expect(summary(record)['errors']).toBe(1);
  });

  test.each([
    ['no file', ['decode'], 2, /arg/],
    ['an unknown flag', ['decode', '--nonsense', 'x'], 2, /--nonsense/],
    ['--embed-keys alone', ['decode', '--embed-keys', 'x'], 2, /to-udp/],
    ['two outputs to one place', ['decode', '--write-inner', '-', '--json', 'x'], 2, /standard output/],
    ['a file that is not there', ['decode', '/nonexistent/x.pcap'], 1, /x\.pcap: no such file/],
    ['a directory', ['decode', '/'], 1, /is a directory/],
    ['keys that are not there', ['decode', '--keys', '/nonexistent/k', pathOf('udp-roam.pcap')], 1, /k: no such file/],
    [
      'keys that are none',
      ['decode', '--keys', pathOf('udp-roam.pcap'), pathOf('udp-roam.pcap')],
      1,
      /udp-roam\.pcap:1: not a line of a key log/,
    ],
    ['a capture that is none', ['decode', pathOf('udp-roam.json')], 1, /udp-roam\.json: this is no capture file/],
    [
      'an output that cannot be made',
      ['decode', '--write-inner', '/nonexistent/x', pathOf('udp-roam.pcap')],
      1,
      /no such file/,
    ],
  ])('%s', async (_what, args, code, message) => {
    const ended = await wirestream(args);
    expect(ended.code).toBe(code);
    expect(ended.out.toString()).toBe('');
    expectComplaint(ended.err, message);
  });

  test('other compressions are named, with what undoes them', async () => {
    const ended = await wirestream(['decode', '-'], Uint8Array.of(0x28, 0xb5, 0x2f, 0xfd, 1, 2, 3, 4));
    expect(ended.code).toBe(1);
    expectComplaint(ended.err, /compressed with zstd/);
    const empty = await wirestream(['decode', '-']);
    expect(empty.code).toBe(1);
    expectComplaint(empty.err, /the capture is empty/);
  });

  test('a capture without packets is a capture', async () => {
    const ended = await wirestream(['decode', '-', '--json'], new PcapngWriter().section());
    expect([ended.code, ended.err]).toEqual([0, '']);
    expect(summary(ended)).toMatchObject({ packets: 0, connections: 0 });
  });
});
