import type { Crypto } from '@wirestream/core/noise/crypto';
import { compareBytes } from '@wirestream/core/noise/bytes';
import { tai64n } from '@wirestream/core/noise/tai64n';
import { SOCKET_OPTIONS } from '@wirestream/core/sim/socket';
import { Violation } from '@wirestream/core/sim/violation';
import { World } from '@wirestream/core/sim/world';
import type { Script, Setup, Step } from './steps.js';
import { Overheard, strangerTalks } from './talk.js';
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

/** Carries out steps. */
class Actor {
  readonly #overheard: (Overheard | undefined)[];

  constructor(
    private readonly world: World,
    private readonly crypto: Crypto,
  ) {
    this.#overheard = world.hosts.map((host) => new Overheard(host));
  }

  act(step: Step): void {
    const { world } = this;
    const n = world.hosts.length;
    const isUp = (host: number) => !world.host(host).isStopped;
    switch (step.do) {
      case 'wait':
        return;
      case 'ping':
      case 'traffic':
      case 'both':
      case 'lane':
      case 'damage': {
        const from = step.from % n;
        const to = step.to % n === from ? (from + 1) % n : step.to % n;
        if (step.do === 'lane') {
          if (step.both) world.link(from, to, step.state);
          else world.lane(from, to).set(step.state);
        } else if (step.do === 'damage') {
          world.damage(from, to, { kind: step.kind, count: step.count });
        } else if (step.do === 'ping') {
          for (let i = 0; i < step.count && isUp(from); i++) world.ping(from, to, step.size, step.size % 7 === 0);
        } else {
          const count = step.do === 'both' ? 1 : step.count;
          world.pingEvery(200, from, to, count);
          world.pingEvery(200, to, from, count);
        }
        return;
      }
      case 'kill':
      case 'forget': {
        const host = step.host % n;
        const sockets = [...world.machine(host).sockets].filter((s) => s.isConnected && s.owner !== null);
        const socket = sockets[step.nth % Math.max(sockets.length, 1)];
        if (socket === undefined || !isUp(host)) return;
        if (step.do === 'kill') world.machine(host).kill(socket);
        else socket.fail('timeout');
        return;
      }
      case 'listener':
        world.machine(step.host % n).listener = step.state;
        return;
      case 'nat':
        return world.translate(step.host % n, step.newAddress);
      case 'move':
        return world.changeAddress(step.host % n);
      case 'restart':
        return this.#restart(step.host % n, step.how, step.down, step.skew);
      case 'clock':
        world.host(step.host % n).skew = step.skew;
        return;
      case 'stranger': {
        const to = step.to % n;
        const address = step.times > 1 ? world.newAddress() : undefined;
        for (let i = 0; i < step.times; i++) {
          strangerTalks(world, this.crypto, to, step.says, this.#overheard[to], address);
        }
        return;
      }
      case 'buffers': {
        const machine = world.machine(step.host % n);
        machine.socketOptions = { ...machine.socketOptions, sendBuffer: step.send };
        return;
      }
      case 'configure': {
        const host = step.host % n;
        const peer = step.of % n === host ? (host + 1) % n : step.of % n;
        if (isUp(host)) world.configureEndpoint(host, peer);
      }
    }
  }

  #restart(host: number, how: 'stop' | 'kill' | 'crash', down: number, skew: number): void {
    const { world } = this;
    if (world.host(host).isStopped) return;
    // What they overheard is news again to a host that remembers nothing.
    for (const stranger of world.strangers)
      if (stranger.socket.remote.address === world.machine(host).address) stranger.leave(true);
    this.#overheard[host] = undefined;
    if (how === 'stop') world.host(host).stop();
    else if (how === 'kill') world.kill9(host);
    else world.crash(host);
    world.clock.after(down, () => this.#start(host, skew));
  }

  #start(host: number, skew: number): void {
    if (!this.world.host(host).isStopped) return;
    this.#overheard[host] = new Overheard(this.world.start(host, skew));
  }

  /** Everything carries and everybody is up. */
  repair(): void {
    this.world.heal();
    for (const { machine } of this.world.hosts) {
      machine.socketOptions = { ...machine.socketOptions, sendBuffer: SOCKET_OPTIONS.sendBuffer };
    }
    for (let i = 0; i < this.world.hosts.length; i++) this.#start(i, this.world.host(i).skew);
  }
}

function pairs(world: World): [number, number][] {
  const out: [number, number][] = [];
  for (let a = 0; a < world.hosts.length; a++) for (let b = a + 1; b < world.hosts.length; b++) out.push([a, b]);
  return out;
}

/**
 * Whether `from` can make the two meet: it is told where the other is, the other is there and can be dialled, and does not hold
 * `from`'s handshakes for replays because it remembers them from a time when `from`'s clock was ahead.
 */
function canBegin(world: World, from: number, to: number): boolean {
  const { configured } = world.peer(from, to).endpoint;
  const target = world.machine(to);
  if (configured === null || target.behind !== null || configured.address !== target.address) return false;
  const remembered = world.peer(to, from).handshake.latestTimestamp;
  return compareBytes(tai64n(world.host(from).wallTime()), remembered) > 0;
}

/** @returns how long the slowest pair took, ms */
function checkLiveness(world: World): number {
  let slowest = 0;
  for (const [a, b] of pairs(world)) {
    if (!canBegin(world, a, b) && !canBegin(world, b, a)) continue;
    const start = world.now;
    const first = world.pings.length;
    const pings = [world.pingEvery(250, a, b, Infinity), world.pingEvery(250, b, a, Infinity)];
    const back = () => {
      let forth = false;
      let other = false;
      for (let i = first; i < world.pings.length; i++) {
        const ping = world.pings[i]!;
        if (ping.repliedAt === Infinity) continue;
        if (ping.from === a && ping.to === b) forth = true;
        if (ping.from === b && ping.to === a) other = true;
      }
      return forth && other;
    };
    if (!world.runUntil(LIVENESS, back)) {
      throw new Violation('liveness', `hosts ${a} and ${b} did not find each other within ${LIVENESS} ms`);
    }
    for (const stop of pings) stop();
    slowest = Math.max(slowest, world.now - start);
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
  pingAll(500, CALM);
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
