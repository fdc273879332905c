import { execFile } from 'node:child_process';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, describe, expect, test } from '@jest/globals';

/**
 * `decode --json` on every recording of the kernel, held against its sidecar, which was read off the kernel. Whatever captures with sidecars of that
 * form lie in the folder are taken.
 */
const HERE = path.dirname(fileURLToPath(import.meta.url));
const WIRESTREAM = path.resolve(HERE, '../../bin/run.js');
const FIXTURES = process.env['WIRESTREAM_FIXTURES'] ?? path.resolve(HERE, '../../../../fixtures/kernel');
const BUILT = existsSync(path.resolve(HERE, '../../dist/commands/decode.js'));
/** Most output of one decode, bytes. */
const OUTPUT_MAX = 256 * 1024 * 1024;

interface Direction {
  readonly records: number;
  readonly garbage_runs?: number;
  readonly garbage_bytes?: number;
}

interface Sidecar {
  readonly name: string;
  readonly transport: string;
  readonly derived_from_capture: {
    readonly tcp_connections?: readonly {
      readonly dialler_to_acceptor?: Direction;
      readonly acceptor_to_dialler?: Direction;
    }[];
    readonly wg_messages_from_A: Readonly<Record<string, number>>;
    readonly wg_messages_from_B: Readonly<Record<string, number>>;
    readonly handshakes_completed: number;
    readonly keepalives: readonly unknown[];
    readonly decryption: { readonly data_ok?: number };
  };
  readonly inner_check?: { readonly plaintext_packets_decrypted: number } | null;
}

interface Summary {
  readonly type: 'summary';
  readonly connections: number;
  readonly records: number;
  readonly messages: { initiation: number; response: number; cookie: number; data: number; keepalive: number };
  readonly resyncs: number;
  readonly skippedBytes: number;
  readonly handshakesCompleted: number;
  readonly decrypted: number;
  readonly undecrypted: number;
  readonly innerPackets: number;
}

/** What the sidecar says that the summary must be. */
function expected(sidecar: Sidecar): Omit<Summary, 'type'> {
  const derived = sidecar.derived_from_capture;
  const connections = derived.tcp_connections ?? [];
  const directions = connections
    .flatMap((c) => [c.dialler_to_acceptor, c.acceptor_to_dialler])
    .filter((d) => d !== undefined);
  const sum = (of: (direction: Direction) => number | undefined) => directions.reduce((n, d) => n + (of(d) ?? 0), 0);
  const count = (type: number) => (derived.wg_messages_from_A[type] ?? 0) + (derived.wg_messages_from_B[type] ?? 0);
  const data = count(4);
  const keepalive = derived.keepalives.length;
  const decrypted = derived.decryption.data_ok ?? 0;
  return {
    connections: connections.length,
    records: sum((d) => d.records),
    messages: { initiation: count(1), response: count(2), cookie: count(3), data, keepalive },
    resyncs: sum((d) => d.garbage_runs),
    skippedBytes: sum((d) => d.garbage_bytes),
    handshakesCompleted: derived.handshakes_completed,
    decrypted,
    undecrypted: data - decrypted,
    innerPackets: decrypted - keepalive,
  };
}

async function decode(...args: string[]): Promise<string[]> {
  const { stdout } = await promisify(execFile)(process.execPath, [WIRESTREAM, 'decode', ...args], {
    maxBuffer: OUTPUT_MAX,
  });
  return stdout.trimEnd().split('\n');
}

/** The packets of a classic little-endian microsecond capture, link headers and all, as hexadecimal text. */
function packetsOf(file: string): string[] {
  const bytes = readFileSync(file);
  expect(bytes.readUInt32LE(0)).toBe(0xa1b2c3d4);
  const out: string[] = [];
  for (let at = 24; at < bytes.length;) {
    const length = bytes.readUInt32LE(at + 8);
    out.push(bytes.toString('hex', at + 16, at + 16 + length));
    at += 16 + length;
  }
  return out;
}

const names = readdirSync(FIXTURES)
  .filter((file) => file.endsWith('.json'))
  .map((file) => file.slice(0, -'.json'.length))
  .sort();
const rows: string[][] = [];

const suite = BUILT ? describe : describe.skip;
suite('decode of the kernel’s captures', () => {
  test.each(names)(
    '%s: everything is as its sidecar says',
    async (name) => {
      const file = (suffix: string) => path.join(FIXTURES, `${name}${suffix}`);
      const sidecar = JSON.parse(readFileSync(file('.json'), 'utf8')) as Sidecar;
      const lines = await decode('--json', '--keys', file('.json'), file('.pcap'));
      const got = JSON.parse(lines.at(-1)!) as Summary;
      const want = expected(sidecar);
      const { messages: m } = got;
      const types = [m.initiation, m.response, m.cookie, m.data, m.keepalive].join('/');
      const verdict = Object.entries(want).every(
        ([key, value]) => JSON.stringify(got[key as keyof Summary]) === JSON.stringify(value),
      );
      rows.push([
        name,
        ...[got.connections, got.records, types, got.resyncs, got.handshakesCompleted].map(String),
        `${got.decrypted}/${m.data}`,
        String(got.innerPackets),
        verdict ? 'as the sidecar' : 'DIFFERS',
      ]);
      expect(got).toMatchObject({ type: 'summary', ...want });
      if (sidecar.inner_check) expect(got.innerPackets).toBe(sidecar.inner_check.plaintext_packets_decrypted);
    },
    60_000,
  );

  test.each(names.filter((name) => existsSync(path.join(FIXTURES, `${name}.inner.pcap`))))(
    '%s: the inner packets are those that were seen on the interface, byte for byte',
    async (name) => {
      const file = (suffix: string) => path.join(FIXTURES, `${name}${suffix}`);
      const { stdout } = await promisify(execFile)(
        process.execPath,
        [WIRESTREAM, 'decode', '--keys', file('.json'), '--write-inner', '-', file('.pcap')],
        { maxBuffer: OUTPUT_MAX, encoding: 'buffer' },
      );
      const seen = new Map<string, number>();
      for (const packet of packetsOf(file('.inner.pcap'))) seen.set(packet, (seen.get(packet) ?? 0) + 1);
      const sidecar = JSON.parse(readFileSync(file('.json'), 'utf8')) as Sidecar;
      const packets = enhancedPackets(stdout);
      expect(packets).toHaveLength(sidecar.inner_check!.plaintext_packets_decrypted);
      const unseen = packets.filter((packet) => {
        const left = seen.get(packet) ?? 0;
        seen.set(packet, left - 1);
        return left === 0;
      });
      expect(unseen).toEqual([]);
    },
    60_000,
  );

  afterAll(() => {
    const head = [
      'capture',
      'conns',
      'records',
      'init/resp/cookie/data/keepalive',
      'resyncs',
      'handshakes',
      'decrypted',
      'inner',
      'verdict',
    ];
    const table = [head, ...rows];
    const widths = head.map((_, i) => Math.max(...table.map((row) => row[i]!.length)));
    const text = table
      .map((row) =>
        row
          .map((cell, i) => cell.padEnd(widths[i]!))
          .join('  ')
          .trimEnd(),
      )
      .join('\n');
    process.stderr.write(`\n${text}\n\n`);
  });
});

/** The packets of a little-endian pcapng's Enhanced Packet Blocks, as hexadecimal text. */
function enhancedPackets(bytes: Buffer): string[] {
  const out: string[] = [];
  for (let at = 0; at < bytes.length; at += bytes.readUInt32LE(at + 4)) {
    if (bytes.readUInt32LE(at) !== 6) continue;
    const length = bytes.readUInt32LE(at + 20);
    out.push(bytes.toString('hex', at + 28, at + 28 + length));
  }
  return out;
}
