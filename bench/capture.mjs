/**
 * `node bench/capture.mjs`: what `wirestream capture` costs a tunnel that nobody captures, and one that somebody does.
 *
 * Two engines in this process hand each other UDP messages through memory, with the fastest ciphers there are; a packet goes in at one and comes out at
 * the other, so that a round is one sealing and one opening. Times are of the processor. What is compared, in turns: no tap, which is how every tunnel runs;
 * the same again, which shows how far two measurements of one thing differ; a tap that does nothing; and a capture of everything, taken from its ring and thrown away.
 */
import { randomFillSync } from 'node:crypto';
import { build, checkNode, installPackages } from '../scripts/lib/setup.mjs';
import { summary } from './lib/statistics.mjs';
import { formatTable } from './lib/tables.mjs';

const PACKET = 1420;
const RUNS = 15;
const PACKETS = 20_000;
/** How many packets make one turn of an engine, after which it shows its captures what has happened. */
const TURN = 64;

checkNode();
installPackages();
build();
// Only now: these come from the build.
const { parsePrefix } = await import('@wirestream/core/address/ip');
const { parseEndpoint } = await import('@wirestream/core/address/endpoint');
const { Captures, RING_ROOM } = await import('@wirestream/core/capture/live/captures');
const { ByteRing } = await import('@wirestream/core/capture/live/ring');
const { configure } = await import('@wirestream/core/device/configure');
const { Device } = await import('@wirestream/core/device/device');
const { SlabPool } = await import('@wirestream/core/slab/pool');
const { fastestProvider } = await import('../packages/cli/dist/decode/provider.js');
const { crypto, makeSlab } = await fastestProvider();

const ENDS = [1, 2].map((n) => parseEndpoint(`192.0.2.${n}:51820`));
const keys = [1, 2].map((n) => new Uint8Array(32).fill(n));

/** One engine, and a driver that has no socket. */
class End {
  /** packets that came out */
  delivered = 0;
  other = null;
  slabs = new SlabPool(
    1 << 16,
    () => makeSlab(1 << 16),
    4,
    () => undefined,
  );
  inner;
  datagrams;
  device;

  constructor(index) {
    const [opened, sealed] = [makeSlab(1 << 17), makeSlab(1 << 17)];
    this.inner = { slab: opened, reserve: () => 0, commit: () => this.delivered++ };
    this.datagrams = {
      slab: sealed,
      reserve: () => 0,
      commit: (offset, length) => this.other.device.datagram(clock(), sealed, offset, length, ENDS[index]),
    };
    this.device = new Device(this, crypto);
    const theirs = { publicKey: crypto.publicKey(keys[1 - index]), endpoint: ENDS[1 - index] };
    const peers = [{ ...theirs, allowedIps: [{ prefix: parsePrefix(`10.0.0.${2 - index}/32`) }] }];
    configure(this.device, clock(), { privateKey: keys[index], transport: 'udp', listenPort: 51_820, peers });
  }

  random(out) {
    randomFillSync(out);
  }

  wallTime() {
    return Date.now();
  }

  dial() {}
  flush() {}
  shutdown() {}
  close() {}
}

const clock = () => performance.now();
const [a, b] = [new End(0), new End(1)];
[a.other, b.other] = [b, a];
const packet = makeSlab(4096);
packet.bytes.set([0x45, 0, PACKET >> 8, PACKET & 0xff, 0, 0, 0, 0, 64, 1, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);

/** A tap that hears everything and does nothing. */
const nothing = () => undefined;
const calls = ['received', 'judged', 'identified', 'written', 'datagram', 'outgoing', 'incoming', 'dropped', 'keys'];
const IDLE = {
  wantsKeys: false,
  ...Object.fromEntries([...calls, 'opened', 'promoted', 'activated', 'closed', 'moved'].map((n) => [n, nothing])),
};

const captures = [a, b].map(({ device }) => new Captures(device));
const memory = () => new ArrayBuffer(ByteRing.memoryFor(RING_ROOM));
const ALL = { messages: true, inner: true, keys: false, snapLength: 1 << 18 };
const AROUND = { wallOffset: Date.now() - clock(), listenPort: () => 51_820, localOf: () => '192.0.2.9' };
const rings = [memory(), memory()];
const readers = rings.map((one) => new ByteRing(one));

const MODES = {
  'no tap': () => undefined,
  'no tap, again': () => undefined,
  'a tap that does nothing': () => {
    for (const { device } of [a, b]) device.tap = IDLE;
  },
  'a capture of everything at both ends': () =>
    captures.forEach((one, i) => one.start(clock(), 1, rings[i], ALL, AROUND, nothing)),
};

/** @returns ns of processor time for each packet */
function round(begin) {
  begin();
  const before = process.cpuUsage();
  const delivered = b.delivered;
  for (let n = 0; n < PACKETS; n += TURN) {
    for (let i = 0; i < TURN; i++) a.device.packet(clock(), packet, 0, PACKET);
    captures.forEach((one, i) => {
      if (one.isEmpty) return;
      one.publish(clock(), Date.now());
      while (readers[i].take(1 << 18) !== null);
    });
  }
  const { user, system } = process.cpuUsage(before);
  const n = b.delivered - delivered;
  if (n < PACKETS) throw new Error(`only ${n} of ${PACKETS} packets came out`);
  for (const one of captures) one.stop(1);
  for (const { device } of [a, b]) device.tap = null;
  return ((user + system) * 1000) / n;
}

// The handshake, and code that is warm.
for (let i = 0; i < 10 && b.delivered === 0; i++) a.device.packet(clock(), packet, 0, PACKET);
for (const begin of Object.values(MODES)) round(begin);
const results = Object.fromEntries(Object.keys(MODES).map((name) => [name, []]));
for (let i = 0; i < RUNS; i++) for (const [name, begin] of Object.entries(MODES)) results[name].push(round(begin));
const rows = Object.entries(results).map(([name, times]) => {
  const { median, min, max } = summary(times);
  return [name, ...[median, min, max].map((value) => value.toFixed(0))];
});
const title = `a packet of ${PACKET} bytes from one engine to the other, ns of processor time; ${crypto.name}`;
console.log(`\n${formatTable({ title, head: ['', 'median', 'least', 'most'], rows })}`);
