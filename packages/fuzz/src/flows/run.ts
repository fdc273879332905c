import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Transport } from '@wirestream/core/device/settings';
import type { RootlessTunnel } from '@wirestream/core/portable/rootless/tunnel';
import { Rng } from '../campaign/mutate.js';
import { must } from '../target.js';
import { change } from './changes.js';
import { CONVERSATIONS, pingBeyond, serveInside } from './conversations.js';
import { useKernel } from './kernel.js';
import { Watch } from './watch.js';
import { BEYOND, openWorld } from './world.js';

/**
 * Programs that use tunnels, on real sockets: `node run.js [--seed S] [--rounds N]`. Each round is a pair of tunnels and a dozen conversations
 * at once, drawn at random; each must come to what it must come to, and in the end nothing may be left: no flow, no descriptor. As root everything happens in a
 * network namespace of its own, and every other round has the Linux driver and the kernel's own sockets at one end.
 */
const AT_ONCE = 12;
const TRANSPORTS: readonly Transport[] = ['tcp', 'udp', 'auto'];
/** What a conversation may take, ms; machines may be busy. */
const PATIENCE = 60_000;
/** After which flows that have ended are gone: their last bytes are acknowledged, or repeated and acknowledged. */
const GONE = 20_000;
/** Descriptors that Node itself may open on the way. */
const DESCRIPTORS = 8;

/** Set in the process that is inside the namespace. */
const INSIDE = 'WIRESTREAM_FLOWS_INSIDE';
const canTun = process.getuid?.() === 0 && process.platform === 'linux' && existsSync('/dev/net/tun');

const text = { type: 'string' } as const;
const { values } = parseArgs({ options: { seed: text, rounds: text } });
const seed = Number(values.seed ?? Math.floor(Math.random() * 1e6));
const rounds = Number(values.rounds ?? 4);

if (canTun && process.env[INSIDE] === undefined) {
  const script = `ip link set lo up && ip address add ${BEYOND}/32 dev lo && exec "$0" "$@"`;
  const args = ['--seed', String(seed), '--rounds', String(rounds)];
  const command = ['--net', 'sh', '-c', script, process.execPath, ...process.execArgv, process.argv[1]!, ...args];
  const { status } = spawnSync('unshare', command, { stdio: 'inherit', env: { ...process.env, [INSIDE]: '1' } });
  process.exitCode = status ?? 1;
} else {
  console.log(
    `seed ${seed}, ${rounds} rounds${canTun ? '' : '; SKIPPED: the Linux driver (it needs root and /dev/net/tun)'}`,
  );
  try {
    for (let round = 0; round < rounds; round++) await play(new Rng(seed + round), round);
  } catch (error) {
    console.log(`FAILED ${error instanceof Error ? error.message : String(error)}`);
    console.log(`  again with --seed ${seed} --rounds ${rounds}`);
    process.exit(1);
  }
}

async function play(rng: Rng, round: number): Promise<void> {
  const transport = TRANSPORTS[(round >> 1) % TRANSPORTS.length]!;
  const before = descriptors();
  const began = performance.now();
  // All transports one way, and then the other.
  const isOther = (((round >> 1) / TRANSPORTS.length) & 1) === 1;
  const use = canTun && round % 2 === 1 ? useKernel : usePrograms;
  const said = await use(transport, isOther, rng, atOnce);
  const after = descriptors();
  must(after <= before + DESCRIPTORS, `${after - before} descriptors are left open`);
  console.log(`${said} over ${transport}, ${((performance.now() - began) / 1000).toFixed(1)} s: all is well`);
}

async function usePrograms(transport: Transport, isNative: boolean, rng: Rng): Promise<string> {
  const world = await openWorld(transport, isNative);
  const watches = [await Watch.begin(world.here), await Watch.begin(world.there)];
  serveInside(world);
  const known = canTun ? { ...CONVERSATIONS, 'pings beyond the tunnel': pingBeyond } : CONVERSATIONS;
  const held = await atOnce(known, rng, (conversation, own) => conversation(world, own)).catch((error: Error) => {
    const tell = (tunnel: RootlessTunnel) =>
      JSON.stringify(tunnel.flows().filter(({ protocol }) => protocol === 'tcp'));
    throw new Error(`${error.message}\n  flows here: ${tell(world.here)}\n  and there: ${tell(world.there)}`);
  });
  await inTime(change(world, rng)).catch((error: Error) => {
    throw new Error(`changes: ${error.stack}`);
  });
  for (const tunnel of [world.here, world.there]) {
    const left = () => tunnel.flows().filter(({ protocol }) => protocol === 'tcp');
    for (let waited = 0; left().length > 0; waited += 50) {
      must(waited < GONE, () => `flows that have ended are still there: ${JSON.stringify(left())}`);
      await sleep(50);
    }
  }
  let messages = 0;
  for (const watch of watches) messages += await watch.end();
  await world.close();
  return `${held} conversations of programs (${isNative ? 'native' : 'no native'} code), ${messages} messages captured`;
}

/** Every conversation that there is, up to three times, in any order, a dozen at a time. @returns how many */
async function atOnce<T>(
  known: Readonly<Record<string, T>>,
  rng: Rng,
  hold: (conversation: T, rng: Rng) => Promise<void>,
): Promise<number> {
  const names = Object.keys(known);
  const plan = names.flatMap((name) => Array.from({ length: 1 + rng.below(3) }, () => name));
  for (let i = plan.length - 1; i > 0; i--) {
    const j = rng.below(i + 1);
    [plan[i], plan[j]] = [plan[j]!, plan[i]!];
  }
  const all = plan.length;
  const work = async () => {
    for (let name = plan.pop(); name !== undefined; name = plan.pop()) {
      await inTime(hold(known[name]!, new Rng(rng.uint32()))).catch((error: unknown) => {
        throw new Error(`${name}: ${error instanceof Error ? error.stack : String(error)}`);
      });
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  return all;
}

function inTime(conversation: Promise<void>): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error('it does not end')), PATIENCE);
    conversation.then(resolve, reject).finally(() => clearTimeout(timer));
  });
}

function descriptors(): number {
  return existsSync('/proc/self/fd') ? readdirSync('/proc/self/fd').length : 0;
}

export type AtOnce = typeof atOnce;
