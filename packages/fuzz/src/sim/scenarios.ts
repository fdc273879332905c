import type { Crypto } from '@wirestream/core/noise/crypto';
import { Violation } from '@wirestream/core/sim/violation';
import { World, type Ping, type WorldOptions } from '@wirestream/core/sim/world';
import { toyCrypto } from './toycrypto.js';

/**
 * What is promised of particular situations, each as a world in which it happens and a bound in ms that is held. They throw a Violation like the properties of
 * random runs, so that a wrong engine can be shown to be caught by them.
 */
export interface ScenarioOptions {
  readonly seed?: number;
  /** one way, ms */
  readonly latency?: number;
  readonly crypto?: Crypto;
}

const make = ({ seed = 1, latency = 10, crypto = toyCrypto }: ScenarioOptions, options: Partial<WorldOptions> = {}) =>
  new World({ seed, crypto, ...options, lane: { latency, ...options.lane } });

const onlyFirstDials = (from: number) => from === 0;

function require(what: string, measured: number, bound: number): number {
  if (!(measured <= bound)) throw new Violation(what, `${measured.toFixed(1)} ms, where ${bound} are promised`);
  return measured;
}

function requireNoneLost(what: string, pings: readonly Ping[]): void {
  const lost = pings.filter((ping) => ping.repliedAt === Infinity);
  if (lost.length > 0) {
    throw new Violation(what, `${lost.length} of ${pings.length} pings lost: ${lost.map((p) => p.id).join(' ')}`);
  }
}

/** When the first reply came after a moment, of pings sent at most `back` before it; ms since that moment. */
function firstReplySince(world: World, moment: number, back = 1_000): number {
  const times = world.pings.filter((p) => p.sentAt >= moment - back && p.repliedAt > moment).map((p) => p.repliedAt);
  return Math.min(...times) - moment;
}

/** Pings five times a second, both ways where the second host can. */
function traffic(world: World, seconds: number, both = true): void {
  world.pingEvery(200, 0, 1, seconds * 5);
  if (both) world.pingEvery(200, 1, 0, seconds * 5);
}

/** First dial to first reply: three round trips (SYN, handshake, ping) and 50 ms. */
export function firstContact(options: ScenarioOptions): number {
  const world = make(options, { knows: onlyFirstDials });
  const ping = world.ping(0, 1);
  world.run(20_000);
  world.stop();
  return require('first contact', ping.repliedAt - ping.sentAt, 6 * (options.latency ?? 10) + 50);
}

/**
 * Both dial at the same instant: no ping is lost. The end that keeps its initiation has its reply after three round trips; the other one
 * may send only when the first message under the new keys has come, half a round trip later.
 */
export function bothDialAtOnce(options: ScenarioOptions): number {
  const world = make(options);
  traffic(world, 5);
  world.run(20_000);
  requireNoneLost('both dial at once', world.pings);
  world.stop();
  const slowest = Math.max(...world.pings.map((p) => p.repliedAt - p.sentAt));
  return require('both dial at once', slowest, 7 * (options.latency ?? 10) + 50);
}

/**
 * Both begin at the same instant with a steady stream of data, on paths where one connection overtakes the other: every packet is there
 * within three round trips of the slowest kind, whichever initiation arrives when the keys from the other one are there already.
 */
export function bothDialWithData(options: ScenarioOptions & { jitter: number }): number {
  const { latency = 10, jitter } = options;
  const world = make(options, { lane: { jitter } });
  world.pingEvery(5, 0, 1, 200);
  world.pingEvery(5, 1, 0, 200);
  world.run(20_000);
  world.stop();
  const slowest = Math.max(...world.pings.map((p) => p.arrivedAt - p.sentAt));
  return require('both dial with data', slowest, 3 * 2 * (latency + jitter));
}

/** The active connection is killed again and again under five pings a second: none is lost. */
export function killedUnderTraffic(options: ScenarioOptions, killer: 0 | 1 = 0): number {
  const world = make(options);
  traffic(world, 20);
  // Not while a packet is on its way: what the dead connection had taken is gone, whoever killed it.
  for (const at of [3_150, 5_150, 5_950, 12_150]) {
    world.clock.after(at, () => world.kill(killer, world.peer(killer, 1 - killer).links.active));
  }
  world.run(30_000);
  requireNoneLost('killed under traffic', world.pings);
  world.stop();
  return Math.max(...world.pings.map((p) => p.repliedAt - p.sentAt));
}

/** The other end is restarted with its keys lost, and its clock perhaps set: a reply is back a second after it listens. */
export function restarted(
  options: ScenarioOptions & {
    how: 'stop' | 'kill' | 'crash';
    down: number;
    skew?: number;
    mutual?: boolean;
    bound?: number;
  },
): number {
  const world = make(options, { knows: (from) => options.mutual === true || from === 0 });
  traffic(world, 60, options.mutual === true);
  world.run(10_050);
  if (options.how === 'stop') world.host(1).stop();
  else if (options.how === 'kill') world.kill9(1);
  else world.crash(1);
  world.run(options.down);
  world.start(1, options.skew ?? 0);
  const moment = world.now;
  world.run(40_000);
  const back = firstReplySince(world, moment, options.down);
  world.stop();
  return require('restarted', back, options.bound ?? 1_000);
}

/**
 * As `restarted`, and the end that stayed has something to send all the time: of what it sends after it has seen the connection go, nothing is lost, since it
 * waits for keys that the other end has.
 */
export function restartedLosesNothing(options: ScenarioOptions & { how: 'stop' | 'kill'; down: number }): number {
  const world = make(options);
  world.pingEvery(50, 0, 1, 20 * 20);
  world.run(10_010);
  if (options.how === 'stop') world.host(1).stop();
  else world.kill9(1);
  const seen = world.now + 2 * (options.latency ?? 10);
  world.run(options.down);
  world.start(1, 0);
  world.run(30_000);
  const since = world.pings.filter((ping) => ping.sentAt > seen);
  requireNoneLost('restarted loses nothing', since);
  world.stop();
  return Math.max(...since.map((ping) => ping.repliedAt - ping.sentAt));
}

/**
 * As `restarted`, with much that is queued on the connection that ends: it goes to the next one, where a peer that has lost its keys can open none of it, and
 * must not stop listening before the handshake has come.
 */
export function restartedUnderLoad(options: ScenarioOptions & { how: 'stop' | 'kill' }): number {
  const world = make(options, { knows: onlyFirstDials, socket: { sendBuffer: 2_000 } });
  world.pingEvery(200, 0, 1, 5 * 40);
  world.run(10_050);
  for (let i = 0; i < 60; i++) world.ping(0, 1, 1_000);
  if (options.how === 'stop') world.host(1).stop();
  else world.kill9(1);
  world.start(1, 0);
  const moment = world.now;
  world.run(20_000);
  const back = firstReplySince(world, moment, 0);
  world.stop();
  return require('restarted under load', back, 1_000);
}

/** Nobody listens, or nobody answers at all, for a time; then somebody does: reached within `bound`. */
export function listenerComesBack(
  options: ScenarioOptions & { state: 'refuses' | 'drops'; away: number; bound: number },
): number {
  const world = make(options, { knows: onlyFirstDials });
  world.machine(1).listener = options.state;
  world.pingEvery(200, 0, 1, 5 * 600);
  world.run(options.away);
  world.machine(1).listener = 'open';
  const moment = world.now;
  world.run(60_000);
  const back = firstReplySince(world, moment, 5_000);
  world.stop();
  return require('listener comes back', back, options.bound);
}

/** All packets vanish for a time, without a word to either end. */
export function halfOpen(options: ScenarioOptions & { away: number; bound: number; userTimeout?: number }): number {
  const world = make(options, { socket: { userTimeout: options.userTimeout ?? 10_000 } });
  traffic(world, 180);
  world.run(5_050);
  world.link(0, 1, 'vanish');
  world.run(options.away);
  world.link(0, 1, 'up');
  const moment = world.now;
  world.run(60_000);
  const back = firstReplySince(world, moment, 1_000);
  requireCalm(world);
  world.stop();
  return require('half-open', back, options.bound);
}

/**
 * Bytes are flipped, inserted and taken away in the stream, again and again: each time at most the record that was hit and the one whose header went with
 * it are lost, and the connection stays.
 */
export function damagedUnderTraffic(options: ScenarioOptions): number {
  const world = make(options);
  traffic(world, 20);
  const kinds = ['flip', 'insert', 'delete'] as const;
  let times = 0;
  for (let at = 2_050; at < 18_000; at += 1_000) {
    world.clock.after(at, () => world.damage(0, 1, { kind: kinds[times++ % 3]!, count: 1 + world.rng.below(60) }));
  }
  world.run(30_000);
  const lost = world.pings.filter((ping) => ping.repliedAt === Infinity).length;
  if (lost > 2 * times) throw new Violation('damaged under traffic', `damage done ${times} times cost ${lost} pings`);
  if (world.host(0).dials.length > 1) throw new Violation('damaged under traffic', 'the connection was given up');
  world.stop();
  return lost;
}

/** A pair that lives through several rekeys under traffic loses nothing. */
export function rekeys(options: ScenarioOptions & { seconds: number }): number {
  const world = make(options);
  traffic(world, options.seconds);
  world.run(options.seconds * 1_000 + 1_000);
  requireNoneLost('rekeys', world.pings);
  world.stop();
  return Math.max(...world.pings.map((p) => p.repliedAt - p.sentAt));
}

/** The dialling side's address changes, noticed by its driver or not. */
export function addressChanges(options: ScenarioOptions & { notices: number; bound: number }): number {
  const world = make(options, { knows: onlyFirstDials, host: { noticesAddress: options.notices } });
  traffic(world, 90);
  world.run(5_050);
  world.changeAddress(0);
  const moment = world.now;
  world.run(60_000);
  const back = firstReplySince(world, moment, 1_000);
  requireCalm(world);
  world.stop();
  return require('address changes', back, options.bound);
}

/** The dialling side sits behind an address translation, which forgets it under load. */
export function translationChanges(options: ScenarioOptions & { newAddress: boolean; bound: number }): number {
  const world = make(options, { knows: onlyFirstDials });
  world.translate(0, true);
  traffic(world, 60);
  world.run(5_050);
  world.translate(0, options.newAddress);
  const moment = world.now;
  world.run(40_000);
  const back = firstReplySince(world, moment, 1_000);
  requireCalm(world);
  world.stop();
  return require('translation changes', back, options.bound);
}

/**
 * Strangers by the thousand connect and are silent, or talk nonsense, while a genuine peer makes its first contact.
 * @returns when its first reply came, ms
 */
export function blast(options: ScenarioOptions & { strangers: number; sources: number }): number {
  const world = make(options, { knows: onlyFirstDials });
  const addresses = Array.from({ length: options.sources }, () => world.newAddress());
  const noise = new Uint8Array(64);
  for (let i = 0; i < options.strangers; i++) {
    world.clock.after(i * 0.2, () => {
      const stranger = world.stranger(1, addresses[i % addresses.length]);
      world.rng.fill(noise);
      if (i % 2 === 1) stranger.say(noise);
    });
  }
  world.run(options.strangers * 0.1);
  const ping = world.ping(0, 1);
  world.run(60_000);
  const { size, refusals } = world.host(1).device.pending.snapshot();
  const counted = Object.values(refusals).reduce((sum, n) => sum + n, 0);
  if (size !== 0) throw new Violation('blast', `${size} strangers are still pending`);
  if (counted !== options.strangers) throw new Violation('blast', `${counted} of ${options.strangers} counted`);
  world.stop();
  return require('blast', ping.repliedAt - ping.sentAt, 1_000);
}

/** In the last ten seconds of pings none was lost, and both ends send on the same connection. */
function requireCalm(world: World): void {
  const recent = world.pings.filter((p) => p.sentAt > world.now - 11_000 && p.sentAt < world.now - 1_000);
  requireNoneLost('calm', recent);
  const [a, b] = [world.peer(0, 1).links.active, world.peer(1, 0).links.active];
  if (a === null || b === null || world.host(0).socketOf(a)?.other !== world.host(1).socketOf(b)) {
    throw new Violation('convergence', 'the ends send on different connections');
  }
}
