import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { once } from 'node:events';
import { describe, expect, jest, test } from '@jest/globals';
import { CaptureReader } from '@wirestream/core/capture/capturefile';
import { PcapWriter } from '@wirestream/core/capture/pcapwriter';
import { representAsUdp } from '@wirestream/core/capture/represent';
import { pathOf, readFixture } from '../decode/sidecar.js';
import { WIRESTREAM } from './support/wirestream.js';

/** `wirestream decode` of a stream of damaged captures that is far larger than the memory it may have. */
jest.setTimeout(120_000);

const NAMES = ['tcp-bulk', 'tcp-bulk-lossy', 'tcp-bulk-offload', 'tcp-connection-blast', 'tcp-fragments'];
/** bytes: what is read, and the most that may be resident; a gigabyte of the same takes no more */
const SIZE = 200e6;
const MEMORY = 200e6;

/** Numbers that look random, the same every time. */
function generator(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

/**
 * The packets of the fixtures over and over, each time between other addresses, so that nothing fits what came before: one in ten is dropped, others
 * are cut, changed or late, and no connection is ever closed.
 */
function* damaged(): Generator<Uint8Array> {
  const packets: Uint8Array[] = [];
  for (const name of NAMES) {
    const reader = new CaptureReader({ packet: ({ data }) => packets.push(data.slice()) });
    reader.push(readFixture(`${name}.pcap`)!);
    reader.end();
  }
  const random = generator(7);
  const writer = new PcapWriter({ linkType: 1 });
  yield writer.header();
  const late: Uint8Array[] = [];
  let size = 0;
  for (let round = 0; size < SIZE; round++) {
    for (const original of packets) {
      const chance = random();
      if (chance < 0.1) continue;
      let data = original.slice();
      // Both addresses are in the same place of IPv4 packets, which almost all of these are.
      data[27] = data[31] = round;
      data[28] = data[32] = round >>> 8;
      // TCP: no FIN and no RST.
      if (data[23] === 6) data[47]! &= ~5;
      if (chance < 0.15) data = data.slice(0, Math.ceil(random() * data.length));
      else if (chance < 0.25) data[Math.floor(random() * data.length)]! ^= 1 << Math.floor(random() * 8);
      if (chance > 0.95) {
        late.push(data);
        continue;
      }
      const again = late.length > 0 && random() < 0.05 ? late.splice(Math.floor(random() * late.length), 1) : [];
      for (const each of [data, ...again]) {
        const bytes = writer.packet(1_700_000_000 + Math.floor(size / 1e6), 0, each, original.length);
        size += bytes.length;
        yield bytes;
      }
    }
  }
}

const STRANGERS = 200_000;

/** Initiations over UDP, and SYNs, by turns: no address twice. */
function* strangers(): Generator<Uint8Array> {
  const writer = new PcapWriter({ linkType: 101 });
  yield writer.header();
  const ends = { source: '10.0.0.0', destination: '192.0.2.1', sourcePort: 1000, destinationPort: 51820 };
  const datagram = representAsUdp(ends, Uint8Array.of(1, ...new Uint8Array(147)))!;
  const syn = datagram.slice(0, 40);
  syn.set([0, 40], 2);
  syn[9] = 6;
  syn.set([0x50, 2], 32);
  for (let i = 0; i < STRANGERS; i++) {
    const packet = i % 2 === 0 ? datagram : syn;
    packet.set([i >> 16, i >> 8, i], 13);
    // The sender's index
    datagram.set([i >> 16, i >> 8, i], 32);
    yield writer.packet(1_700_000_000 + Math.floor(i / 1000), 0, packet);
  }
}

(process.platform === 'linux' ? describe : describe.skip)('decode', () => {
  test('of 200 MB of damage on thousands of connections has bounded memory', async () => {
    const keys = NAMES.flatMap((name) => ['--keys', pathOf(`${name}.json`)]);
    const { summary, memory } = await decoded(damaged(), keys);
    expect(summary).toMatchObject({ type: 'summary' });
    expect(summary['records']).toBeGreaterThan(10_000);
    expect(summary['gaps']).toBeGreaterThan(1000);
    expect(memory).toBeGreaterThan(0);
    expect(memory).toBeLessThan(MEMORY);
  });

  test('of packets each of which is of another connection or flow has bounded memory', async () => {
    const { summary, memory } = await decoded(strangers(), []);
    expect(summary).toMatchObject({ udpFlows: STRANGERS / 2, otherConnections: STRANGERS / 2, errors: 0 });
    expect(memory).toBeGreaterThan(0);
    expect(memory).toBeLessThan(MEMORY);
  });
});

/** Decodes a capture from its standard input. @returns the last line, and the most that was resident, bytes */
async function decoded(
  capture: Iterable<Uint8Array>,
  options: readonly string[],
): Promise<{ summary: Record<string, number>; memory: number }> {
  const [program, ...args] = WIRESTREAM;
  const child = spawn(program, [...args, 'decode', '--json', '--summary', ...options, '-'], { stdio: 'pipe' });
  let said = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (said += text));
  child.stderr.resume();
  const ended = once(child, 'close');
  let memory = 0;
  const look = (): void => {
    if (child.exitCode !== null) return;
    const status = readFileSync(`/proc/${child.pid}/status`, 'latin1');
    // A process that has just ended has none.
    memory = Math.max(memory, 1024 * Number(/^VmHWM:\s+(\d+)/m.exec(status)?.[1] ?? 0));
  };
  let batch: Uint8Array[] = [];
  let gathered = 0;
  for (const bytes of capture) {
    batch.push(bytes);
    gathered += bytes.length;
    if (gathered < 1 << 20) continue;
    if (!child.stdin.write(Buffer.concat(batch))) await once(child.stdin, 'drain');
    batch = [];
    gathered = 0;
    look();
  }
  const timer = setInterval(look, 20);
  child.stdin.end(Buffer.concat(batch));
  await ended;
  clearInterval(timer);
  return { summary: JSON.parse(said.trim().split('\n').at(-1)!) as Record<string, number>, memory };
}
