import net from 'node:net';
import { once } from 'node:events';
import { nativeCrypto } from '@wirestream/core/noise/native';
import { isWholeReply } from '@wirestream/core/uapi/reply';
import { noise } from '../arbitraries/bytes.js';
import type { Arena, Outcome } from './arena.js';
import { Genuine } from './genuine.js';

/** What was measured, and how much of it there may be. */
export interface Finding {
  readonly what: string;
  readonly value: number;
  readonly bound: number;
  /** of durations, which a busy machine changes */
  readonly isTime?: true;
}

export interface Scenario {
  readonly name: string;
  readonly run: (arena: Arena) => Promise<Finding[]>;
}

const ATTACK_MS = 1_000;
const MIB = 1 << 20;
/** Round trips on loopback are shorter than what a busy machine adds to them by chance, ms. */
const PEACE_MIN = 2;
/** Pending connections and their descriptors (DESIGN 4). */
const PENDING_MAX = 128;

const most = (what: string, value: number, bound: number): Finding => ({ what, value, bound });
const mostTime = (what: string, value: number, bound: number): Finding => ({ what, value, bound, isTime: true });

/** What holds under any attack. A reply may take longer, because attacker and device share the machine's cores; it must not be lost. */
function common({ before, after, pings, control, calm, deeds, peak }: Outcome, slower = 100): Finding[] {
  const floor = Math.max(control.median, PEACE_MIN);
  return [
    most('pings lost of those sent', pings.lost / pings.sent, 0.02),
    mostTime('round trip, compared with a tunnel in peace', pings.median / floor, slower),
    // Beside the whole: what other work on the machine costs is not in it, so that it may be less. It can be too little, and says nothing alone.
    mostTime('the same less what the device waited for a core', pings.medianAtWork / floor, 0.6 * slower),
    mostTime('round trip afterwards, compared with that', calm.median / floor, 60),
    most(
      'CPU of the device, compared with the attacker’s',
      (after.cpu - before.cpu - 50_000) / (deeds.cpu + 50_000),
      5,
    ),
    most('memory gained, MiB', (after.memory - before.memory) / MIB, 64),
    most('pending connections at a time', peak.pending, PENDING_MAX),
    most('descriptors more at a time', peak.descriptors - before.descriptors, PENDING_MAX + 72),
    most('peers gained', after.peers - before.peers, 0),
  ];
}

/** ms of CPU that the device's Curve25519 takes for one initiation: two secrets. */
function handshakeCost(): number {
  const [a, b] = [noise(32, 1), nativeCrypto.publicKey(noise(32, 2))];
  const before = process.cpuUsage();
  for (let i = 0; i < 200; i++) nativeCrypto.sharedSecret(a, b);
  const { user, system } = process.cpuUsage(before);
  return ((user + system) / 1000 / 200) * 2;
}

const silent = (deeds: Outcome['deeds']) => most('bytes that strangers heard', deeds.heard, 0);

export const TCP_SCENARIOS: readonly Scenario[] = [
  {
    name: 'connection blast',
    async run(arena) {
      let first = Infinity;
      const another = new Genuine(3, arena.port, 'tcp', arena.victim.pid!);
      const outcome = await arena.suffer('blast', ATTACK_MS, async () => void (first = await another.start()));
      await another.stop();
      return [
        ...common(outcome),
        silent(outcome.deeds),
        mostTime('ms until another genuine peer is served in the middle of it', first, 8_000),
        most('of all connections, those held at a time', outcome.peak.pending / outcome.deeds.count, 0.9),
      ];
    },
  },
  {
    name: 'slow trickle',
    async run(arena) {
      const outcome = await arena.suffer('trickle', ATTACK_MS);
      return [...common(outcome), silent(outcome.deeds)];
    },
  },
  {
    name: 'handshake flood with valid MAC1 over TCP',
    async run(arena) {
      const outcome = await arena.suffer('flood-tcp', ATTACK_MS);
      const cost = (outcome.after.cpu - outcome.before.cpu) / 1000 / outcome.deeds.count;
      return [
        ...common(outcome),
        silent(outcome.deeds),
        // A connection each: accepting and closing it weighs more than what is said on it.
        most('CPU per message, compared with a handshake and a connection', cost / (handshakeCost() + 1), 3),
      ];
    },
  },
  {
    name: 'replayed initiations over TCP',
    async run(arena) {
      const outcome = await arena.suffer('replay-tcp', ATTACK_MS);
      return [...common(outcome), silent(outcome.deeds)];
    },
  },
  {
    name: 'oversized and zero-length records',
    async run(arena) {
      const outcome = await arena.suffer('sizes', ATTACK_MS);
      return [...common(outcome), silent(outcome.deeds)];
    },
  },
  {
    name: 'headers that promise 64 KiB and never deliver',
    async run(arena) {
      const outcome = await arena.suffer('promises', ATTACK_MS);
      const gained = outcome.after.memory - outcome.before.memory;
      return [
        ...common(outcome),
        silent(outcome.deeds),
        most('memory gained, of what was promised', gained / (65_543 * outcome.deeds.count), 2),
      ];
    },
  },
  { name: 'garbage in the middle of an authenticated connection', run: garbage },
  {
    name: 'configuration clients that never finish a line',
    async run(arena) {
      let slowest = 0;
      const outcome = await arena.suffer('uapi-lines', ATTACK_MS, async () => {
        for (let n = 0; n < 5; n++) slowest = Math.max(slowest, await readDevice(arena.uapi));
      });
      return [
        ...common(outcome),
        most(
          'of the clients, those whose line may go on beyond 1024 characters',
          1 - outcome.deeds.closed / outcome.deeds.count,
          0,
        ),
        mostTime('ms until an honest client has its answer', slowest, 3_000),
      ];
    },
  },
  {
    name: 'a thousand peers come, change and go',
    async run(arena) {
      const outcome = await arena.during(async () => {
        await arena.ask({ ask: 'churn', peers: 1000 });
        return { count: 3000, heard: 0, closed: 0, cpu: 2_000_000 };
      });
      // Each change of a hundred peers is one turn of the device, with a Curve25519 secret per peer.
      return common(outcome, 300);
    },
  },
];

export const UDP_SCENARIOS: readonly Scenario[] = [
  {
    name: 'handshake flood with valid MAC1 over UDP',
    async run(arena) {
      const outcome = await arena.suffer('flood-udp', ATTACK_MS);
      const cost = (outcome.after.cpu - outcome.before.cpu) / 1000 / outcome.deeds.count;
      return [
        ...common(outcome),
        most('CPU per message, compared with a handshake', cost / handshakeCost(), 3),
        // A cookie reply is 64 bytes, an initiation 148: no amplification.
        most('bytes said per byte heard', outcome.deeds.heard / (148 * outcome.deeds.count), 64 / 148 + 0.01),
      ];
    },
  },
  {
    name: 'replayed initiations over UDP',
    async run(arena) {
      const outcome = await arena.suffer('replay-udp', ATTACK_MS);
      return [
        ...common(outcome),
        most('bytes said per byte heard', outcome.deeds.heard / (148 * outcome.deeds.count), 64 / 148 + 0.01),
      ];
    },
  },
];

/** ms until the state of the device has been read. */
async function readDevice(file: string): Promise<number> {
  const began = performance.now();
  const socket = net.connect(file);
  socket.write('get=1\n\n');
  let text = '';
  for await (const chunk of socket) {
    text += String(chunk);
    if (isWholeReply(text)) break;
  }
  socket.destroy();
  if (!text.endsWith('errno=0\n\n')) throw new Error(`the device answered ${text.slice(-40)}`);
  return performance.now() - began;
}

/** Somebody on the path puts garbage between the records of an authenticated connection, both ways. */
async function garbage(arena: Arena): Promise<Finding[]> {
  let injected = 0;
  let connections = 0;
  const pipes = new Set<net.Socket>();
  const relay = net.createServer((from) => {
    connections++;
    const to = net.connect(arena.port, '127.0.0.1');
    for (const [source, sink] of [
      [from, to],
      [to, from],
    ] as const) {
      pipes.add(source);
      source.on('data', (bytes) => {
        // Behind the handshake, which strangers' rules would end.
        if (injected++ > 10 && injected % 4 === 0) sink.write(noise(50 + (injected % 200), injected));
        sink.write(bytes);
      });
      source.on('error', () => sink.destroy());
      source.on('close', () => sink.destroy());
    }
  });
  relay.listen(0, '127.0.0.1');
  await once(relay, 'listening');
  const peer = new Genuine(4, (relay.address() as net.AddressInfo).port, 'tcp', arena.victim.pid!);
  await peer.start();
  const calm = await peer.pingWhile(Promise.resolve(), 10);
  let disturbed = calm;
  const outcome = await arena.during(async () => {
    disturbed = await peer.pingWhile(Promise.resolve(), 60, 15);
    return { count: injected, heard: 0, closed: 0, cpu: 1_000_000 };
  });
  await peer.stop();
  relay.close();
  for (const pipe of pipes) pipe.destroy();
  return [
    ...common(outcome),
    most('pings lost on the damaged connection', disturbed.lost / disturbed.sent, 0.05),
    most('connections that it took', connections, 2),
    most('1 when nothing was injected', injected > 20 ? 0 : 1, 0),
  ];
}
