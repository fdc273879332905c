import type { Crypto } from '@wirestream/core/noise/crypto';
import { compareBytes } from '@wirestream/core/noise/bytes';
import { tai64n } from '@wirestream/core/noise/tai64n';
import { Violation } from '@wirestream/core/sim/violation';
import { World } from '@wirestream/core/sim/world';
import { Actor } from './actor.js';
import type { Script, Setup } from './steps.js';
import { toyCrypto } from './toycrypto.js';

/**
 * Runs a script, and then puts the world right and holds the devices to what they promise.
 *
 * While the script runs, only what holds at all times is checked (world.ts, host.ts, tap.ts, stranger.ts): nothing invented, nothing twice, no
 * record written twice, silence, bounds, ownership, the driver's contract. Afterwards:
 *
 * - *liveness*: with every path healed and every host up, a ping gets through and its reply back within LIVENESS, between each two hosts of
 *   which one can reach the other;
 * - *convergence*: then both ends have one active carrier, the two ends of the same connection, and CALM later neither moves any more, and no ping is lost;
 * - *quiescence*: without traffic everything comes to rest: no more than QUIET_WAKES wake-ups in QUIET_TIME, and no timer at the end;
 * - *strangers go*: whoever has not authenticated was disconnected;
 * - *nothing leaks*: after close no connection, slab, index or timer is left (host.ts).
 */

/** ms */
export const LIVENESS = 60_000;
/** Whether the two can meet at all is looked at so often meanwhile, ms. */
const LIVENESS_LOOKS = 1_000;
/** From the first reply until nothing moves any more, ms. */
export const CALM = 25_000;
const QUIET_TIME = 900_000;
const QUIET_WAKES = 200;
/** A pending connection's life, one sweep, and the way there, ms. */
const STRANGER_LIFE = 30_000 + 1_000 + 1_000;

export interface Outcome {
  readonly world: World;
  /** how long the slowest pair took to come back, ms */
  readonly slowest: number;
}

export interface RunOptions {
  readonly crypto?: Crypto;
  readonly polls?: boolean;
  readonly onWorld?: (world: World) => void;
}

/** @throws Violation */
export function runScript({ setup, steps }: Script, options: RunOptions = {}): Outcome {
  const crypto = options.crypto ?? toyCrypto;
  const world = makeWorld(setup, crypto, options.polls ?? false);
  options.onWorld?.(world);
  const actor = new Actor(world, crypto);
  for (const step of steps) {
    actor.act(step);
    world.run(step.wait);
  }
  actor.repair();
  const slowest = checkLiveness(world);
  checkConvergence(world);
  checkQuiescence(world, setup);
  world.stop();
  return { world, slowest };
}

export function makeWorld(setup: Setup, crypto: Crypto, polls: boolean): World {
  return new World({
    seed: setup.seed,
    crypto,
    hosts: setup.hosts,
    transport: setup.transport,
    lane: {
      latency: setup.latency,
      jitter: setup.jitter,
      rate: setup.rate === 0 ? Infinity : setup.rate,
      segmentMin: Math.min(setup.segmentMin, setup.segmentMax),
      segmentMax: setup.segmentMax,
      loss: setup.loss,
      duplicate: setup.loss,
    },
    socket: { sendBuffer: setup.sendBuffer, userTimeout: setup.userTimeout === 0 ? Infinity : setup.userTimeout },
    host: {
      readMax: setup.readMax,
      noticesAddress: setup.noticesAddress < 0 ? Infinity : setup.noticesAddress,
      polls,
    },
    knows: (from, to) => setup.mutual || from < to,
    keepalive: () => setup.keepalive,
  });
}

function pairs(world: World): [number, number][] {
  const out: [number, number][] = [];
  for (let a = 0; a < world.hosts.length; a++) for (let b = a + 1; b < world.hosts.length; b++) out.push([a, b]);
  return out;
}

/**
 * Whether `from` can make the two meet: it knows where the other is, the other is there and can be reached, and does not hold
 * `from`'s handshakes for replays because it remembers them from a time when `from`'s clock was ahead.
 */
function canBegin(world: World, from: number, to: number): boolean {
  const { endpoint, transport } = world.peer(from, to);
  // Over UDP what was heard last is all that is known, as in stock WireGuard: a datagram that was under way while its sender moved undoes what was configured.
  const known = transport === 'udp' ? endpoint.shown : endpoint.configured;
  const target = world.machine(to);
  if (known === null || target.behind !== null || known.address !== target.address) return false;
  const remembered = world.peer(to, from).handshake.latestTimestamp;
  return compareBytes(tai64n(world.host(from).wallTime()), remembered) > 0;
}

/** @returns how long the slowest pair took, ms */
function checkLiveness(world: World): number {
  let slowest = 0;
  for (const [a, b] of pairs(world)) {
    const canMeet = () => canBegin(world, a, b) || canBegin(world, b, a);
    if (!canMeet()) continue;
    const start = world.now;
    const first = world.pings.length;
    const pings = [world.pingEvery(250, a, b, Infinity), world.pingEvery(250, b, a, Infinity)];
    const back = () => world.newestReply(a, b) >= first && world.newestReply(b, a) >= first;
    // What was still under way from an earlier life may arrive yet, and undo the last way to meet.
    while (!world.runUntil(LIVENESS_LOOKS, back) && canMeet()) {
      if (world.now < start + LIVENESS) continue;
      throw new Violation('liveness', `hosts ${a} and ${b} did not find each other within ${LIVENESS} ms`);
    }
    for (const stop of pings) stop();
    if (back()) slowest = Math.max(slowest, world.now - start);
  }
  return slowest;
}

function checkConvergence(world: World): void {
  const meeting = pairs(world).filter(([a, b]) => canBegin(world, a, b) || canBegin(world, b, a));
  const pingAll = (interval: number, ms: number) => {
    for (const [a, b] of meeting) {
      world.pingEvery(interval, a, b, ms / interval);
      world.pingEvery(interval, b, a, ms / interval);
    }
    world.run(ms);
  };
  pingAll(1_000, CALM);
  const moves = () =>
    meeting.map(([a, b]) => world.peer(a, b).links.carrierChanges + world.peer(b, a).links.carrierChanges);
  const before = moves();
  const first = world.pings.length;
  pingAll(200, 4_000);
  const last = world.pings.length;
  pingAll(500, 4_000);
  moves().forEach((n, i) => {
    const [a, b] = meeting[i]!;
    if (n !== before[i]) throw new Violation('convergence', `hosts ${a} and ${b} still change carriers`);
    const ours = world.peer(a, b).links.active;
    const theirs = world.peer(b, a).links.active;
    if (world.options.transport === 'udp') return;
    if (ours === null || theirs === null) throw new Violation('convergence', `hosts ${a} and ${b} have no carrier`);
    if (world.host(a).socketOf(ours)?.other !== world.host(b).socketOf(theirs)) {
      throw new Violation('convergence', `hosts ${a} and ${b} send on different connections`);
    }
  });
  const lossy = world.options.transport === 'udp' && (world.options.lane?.loss ?? 0) > 0;
  for (const ping of lossy ? [] : world.pings.slice(first, last)) {
    if (ping.repliedAt !== Infinity) continue;
    if (!meeting.some(([a, b]) => (ping.from === a && ping.to === b) || (ping.from === b && ping.to === a))) continue;
    throw new Violation('calm', `ping ${ping.id} from ${ping.from} to ${ping.to} was lost though all is well`);
  }
}

function checkQuiescence(world: World, setup: Setup): void {
  world.run(STRANGER_LIFE);
  for (const stranger of world.strangers) {
    const { socket } = stranger;
    if (socket.isConnected && stranger.ended === null && !socket.other.isDead && socket.other.owner !== null) {
      throw new Violation('strangers go', 'somebody without keys is still connected');
    }
  }
  if (setup.keepalive > 0) return;
  const before = world.hosts.map((host) => host.wakes);
  world.run(QUIET_TIME);
  world.hosts.forEach((host, i) => {
    const wakes = host.wakes - before[i]!;
    if (wakes > QUIET_WAKES && !host.options.polls) {
      throw new Violation('quiescence', `host ${i} was woken ${wakes} times in ${QUIET_TIME} ms without traffic`);
    }
    const next = host.device.nextWake();
    if (next !== null) throw new Violation('quiescence', `host ${i} still wants to be woken: ${next.why}`);
  });
}
