import { Violation } from '@wirestream/core/sim/violation';
import { World, type Ping, type WorldOptions } from '@wirestream/core/sim/world';
import { toyCrypto } from './toycrypto.js';

/**
 * What is promised of two wirestreams that know each other: of a listener that moves, and of `Transport = auto` in networks that let only some datagrams through.
 * Each is a world in which it happens, with pings five times a second, host 0 being the one that can reach the other.
 */
const PROBE_INTERVAL = 20_000;

export function autoWorld(seed: number, options: Partial<WorldOptions> = {}): World {
  const lane = { latency: 10, ...options.lane };
  const world = new World({
    seed,
    crypto: toyCrypto,
    transport: 'auto',
    knows: (from) => from === 0,
    ...options,
    lane,
  });
  for (const host of world.hosts) host.device.probeInterval = PROBE_INTERVAL;
  return world;
}

export interface Outcome {
  /** transport of host 0 and of host 1 at the end */
  readonly paths: readonly ('udp' | 'tcp')[];
  /** times that host 0's moved */
  readonly moves: number;
  /** longest time between two replies, from the first ping on, ms */
  readonly outage: number;
  /** numbers of pings that were never replied to */
  readonly lost: readonly number[];
}

function outcome(world: World, pings: readonly Ping[], since: number): Outcome {
  const replies = pings.map((ping) => ping.repliedAt).filter((at) => at !== Infinity && at > since);
  const times = [since, ...replies.sort((a, b) => a - b)];
  const gaps = times.slice(1).map((at, i) => at - times[i]!);
  const paths = [world.peer(0, 1).path.current, world.peer(1, 0).path.current];
  return {
    paths,
    moves: world.peer(0, 1).path.moves,
    outage: replies.length === 0 ? Infinity : Math.max(...gaps),
    lost: pings.filter((ping) => ping.repliedAt === Infinity).map((ping) => ping.id),
  };
}

/** `before`: the longest datagram that passes at first; `after`: from 10 s on; `again`: from `undone` on. Bytes; -1 for none. */
export function blocked(seed: number, before: number, after: number, seconds: number, size = 84): Outcome {
  const world = autoWorld(seed);
  world.limitDatagrams(0, 1, before);
  world.pingEvery(200, 0, 1, seconds * 5, size);
  const since = world.now;
  world.run(10_000);
  world.limitDatagrams(0, 1, after);
  world.run((seconds - 10) * 1_000 + 15_000);
  const result = outcome(world, world.pings, since);
  world.stop();
  return result;
}

/**
 * UDP goes away after 10 s and comes back after 30 s, on a path whose delays vary by `jitter` ms, so that it is chance which end is the first to look.
 * @returns what was at 29 s, and at the end
 */
export function blockedForAWhile(seed: number, jitter = 0): { meanwhile: Outcome; after: Outcome; backAfter: number } {
  const world = autoWorld(seed, { lane: { jitter } });
  const since = world.now;
  world.pingEvery(200, 0, 1, 90 * 5);
  world.run(10_000);
  world.limitDatagrams(0, 1, -1);
  world.run(19_000);
  const meanwhile = outcome(world, world.pings.slice(0, 28 * 5), since);
  world.run(1_000);
  world.limitDatagrams(0, 1, Infinity);
  const opened = world.now;
  world.runUntil(60_000, () => world.peer(0, 1).path.current === 'udp' && world.peer(1, 0).path.current === 'udp');
  const backAfter = world.now - opened;
  world.run(70_000);
  const after = outcome(world, world.pings.slice(30 * 5), opened);
  world.stop();
  return { meanwhile, after, backAfter };
}

/** UDP passes for `on` ms and is blocked for `off` ms, in turn, for ten minutes. */
export function flapping(seed: number, on: number, off: number): Outcome {
  const world = autoWorld(seed);
  const since = world.now;
  world.pingEvery(200, 0, 1, 600 * 5);
  for (let at = 0; at < 600_000; at += on + off) {
    world.limitDatagrams(0, 1, Infinity);
    world.run(on);
    world.limitDatagrams(0, 1, -1);
    world.run(off);
  }
  world.run(20_000);
  const result = outcome(world, world.pings, since);
  world.stop();
  return result;
}

/** Over TCP, host 1 moves its listener after 5 s; five seconds later the connection is reset. @returns the pings lost, and the ports dialled */
export function listenerMoves(
  seed: number,
  extensions: boolean,
): { lost: readonly number[]; dialled: readonly number[] } {
  const world = autoWorld(seed, { transport: 'tcp' });
  for (const host of world.hosts) host.device.extensions = extensions;
  world.pingEvery(200, 0, 1, 20 * 5);
  world.run(5_000);
  world.moveListener(1, 51_999);
  // Between two pings: what is in the connection that is killed dies with it.
  world.run(5_100);
  world.kill(0, world.peer(0, 1).links.active);
  world.run(40_000);
  if (world.host(0).connectionCount > 2) throw new Violation('bounded connections', 'more than two are left');
  const lost = world.pings.filter((ping) => ping.repliedAt === Infinity).map((ping) => ping.id);
  const dialled = world.host(0).dials.map(({ port }) => port);
  world.stop();
  return { lost, dialled };
}
