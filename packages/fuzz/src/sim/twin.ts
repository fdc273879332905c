import type { World } from '@wirestream/core/sim/world';
import { Actor } from './actor.js';
import { makeWorld } from './run.js';
import type { Script } from './steps.js';
import { toyCrypto } from './toycrypto.js';

/** Longest wait between two steps, ms: the twin is woken at each of them. */
const WAIT_MAX = 8_000;

/**
 * Runs the steps of a script twice, once with wake-ups when `nextWake` asks for them and once with one every millisecond, and tells what each run came
 * to. Any difference is something that the device wanted to do and did not announce, or an announcement that changed something.
 */
export function runTwins({ setup, steps }: Script): [announced: string, polled: string] {
  const tell = (polls: boolean) => {
    const world = makeWorld(setup, toyCrypto, polls);
    const actor = new Actor(world, toyCrypto);
    for (const step of steps) {
      actor.act(step);
      world.run(Math.min(step.wait, WAIT_MAX));
    }
    return fingerprint(world);
  };
  return [tell(false), tell(true)];
}

/** All that can be seen of a world from outside, and the states that it went through. */
function fingerprint(world: World): string {
  const hosts = world.hosts.map((host) => (host.isStopped ? null : [host.dials, host.device.snapshot(world.now)]));
  const pings = world.pings.map((ping) => [ping.arrivedAt, ping.repliedAt]);
  return JSON.stringify([hosts, pings, [...world.states.transitions]], readable, 1);
}

function readable(_key: string, value: unknown): unknown {
  return value instanceof Uint8Array ? value.join(' ') : value;
}
