import { mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { openArena } from '../lib/arena.mjs';
import { CONTESTANTS } from '../lib/contestants/contestants.mjs';
import { transfer } from '../lib/iperf.mjs';
import { Lab } from '../lib/lab.mjs';
import { sleep, until } from '../lib/run.mjs';
import { allocationSites } from './sites.mjs';

/**
 * Shows what the engine allocates per packet in steady state: a transfer through a tunnel whose engine threads sample their own
 * allocations (preload.mjs). The first seconds are left out, in which code is compiled and buffers grow to their size.
 */

const WARM_UP = 5;
/** Payload of a full TCP segment in a tunnel with MTU 1420: less 40 bytes of headers and 12 of timestamps. */
const SEGMENT = 1368;
/** Sites that are listed. */
const TOP = 12;

const PRELOAD = new URL('./preload.mjs', import.meta.url);

/** @param {object} options as parseOptions gives them, and `seconds` of the transfer */
export async function profileHeap(options) {
  const { seconds, say, congestion } = options;
  const lab = new Lab();
  try {
    const out = [];
    for (const contestant of CONTESTANTS.filter(({ id }) => id.startsWith('wirestream') && options.only.includes(id))) {
      const folder = path.join(lab.folder, `heap-${contestant.id}`);
      mkdirSync(folder);
      const env = { NODE_OPTIONS: `--import ${PRELOAD.href}`, WIRESTREAM_BENCH_HEAP: folder };
      const { entries, close } = await openArena(lab, [contestant], null, { ...options, env });
      const [{ a, address, pids }] = entries;
      say(`  ${contestant.id}: ${WARM_UP} s to warm up, then ${seconds} s`);
      const whole = transfer(a, address, { seconds: WARM_UP + seconds + 1, flows: 1, congestion });
      await sleep(WARM_UP * 1000);
      writeFileSync(path.join(folder, 'start'), '');
      await sleep(seconds * 1000);
      writeFileSync(path.join(folder, 'stop'), '');
      const { mbits } = await whole;
      const files = () => readdirSync(folder).filter((name) => name.endsWith('.json'));
      await until('the profiles of both ends', () => files().length === 2, 10_000);
      const read = (name) => JSON.parse(readFileSync(path.join(folder, name), 'utf8'));
      const ends = files().map((name) => digest(read(name), mbits, pids));
      out.push({ id: contestant.id, mbits, ends: ends.sort((one, two) => two.end.localeCompare(one.end)) });
      await close();
    }
    return out;
  } finally {
    lab.clean();
  }
}

function digest({ pid, seconds, collections, pauses, growth, head }, mbits, pids) {
  const packets = (mbits * 1e6 * seconds) / 8 / SEGMENT;
  const { total, sites } = allocationSites(head);
  const perPacket = (bytes) => bytes / packets;
  return {
    end: pids.a.includes(pid) ? 'sender' : 'receiver',
    seconds,
    packets: Math.round(packets),
    allocated: total,
    bytesPerPacket: perPacket(total),
    collections,
    pauses,
    growth,
    sites: sites.slice(0, TOP).map((site) => ({ ...site, bytesPerPacket: perPacket(site.bytes) })),
  };
}

export function heapLines(results) {
  return results.flatMap(({ id, mbits, ends }) => [
    '',
    `${id}: ${mbits.toFixed(0)} Mbit/s`,
    ...ends.flatMap(({ end, seconds, packets, allocated, bytesPerPacket, collections, pauses, growth, sites }) => [
      `  ${end}: ${packets} full packets in ${seconds.toFixed(0)} s; ${(allocated / 1e6).toFixed(1)} MB allocated: ${bytesPerPacket.toFixed(2)} bytes per packet`,
      `    ${collections} collections, ${pauses.toFixed(0)} ms; heap grew by ${(growth.heap / 1e6).toFixed(1)} MB, buffers by ${(growth.arrayBuffers / 1e6).toFixed(1)} MB`,
      ...sites.map(({ what, bytesPerPacket: each }) => `    ${each.toFixed(3).padStart(9)} B/packet  ${what}`),
    ]),
  ]);
}
