import { spawn, type ChildProcess } from 'node:child_process';
import { existsSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { fileURLToPath } from 'node:url';
import type { Report } from './lane.js';

/**
 * Tunnels in use for a long time: over TCP and UDP, with the portable driver, and as root with the Linux one. Every byte of every packet is checked, the path cuts,
 * stalls, garbles and moves them, the clocks of the peers run fast so that keys change often; memory and descriptors must stay what they are.
 */
export const USAGE = `usage:
  npm run soak -- [--minutes N] [--seed S] [--speed F] [--only portable|linux]
  10 minutes, with clocks ten times as fast; Ctrl-C ends it early, with what there is to say`;

/** What may come of it. */
const BOUNDS = {
  /** bytes that a process may have gained since it was warm */
  memory: 48 << 20,
  descriptors: 12,
  /** real ms without a right reply, and requests lost of those sent: the path has a fault every three seconds */
  silence: 20_000,
  lost: 0.3,
};
/** Part of the time after which a process counts as warm. */
const WARM = 0.3;
const SAY_EVERY = 10_000;
const READY = 60_000;

interface Lane {
  readonly name: string;
  readonly child: ChildProcess;
  readonly began: number;
  warm: Report | null;
  last: Report | null;
  ended: string | null;
}

/** @returns the exit code */
export async function soak(args: readonly string[], out: (line: string) => void, signal: AbortSignal): Promise<number> {
  const text = { type: 'string' } as const;
  const options = { minutes: text, seed: text, speed: text, only: text, help: { type: 'boolean' } as const };
  const { values } = parseArgs({ args: [...args], options });
  if (values.help === true) {
    out(USAGE);
    return 0;
  }
  const number = (name: 'minutes' | 'seed' | 'speed', otherwise: number) => {
    const value = Number(values[name] ?? otherwise);
    if (!(value > 0)) throw new Error(`--${name} wants a number above 0, not ${values[name]}\n${USAGE}`);
    return value;
  };
  const minutes = number('minutes', 10);
  const seed = Math.floor(number('seed', 1 + Math.floor(Math.random() * 1e6)));
  const speed = number('speed', 10);
  const canTun = process.getuid?.() === 0 && process.platform === 'linux' && existsSync('/dev/net/tun');
  const drivers = (['portable', 'linux'] as const).filter((kind) => (values.only ?? kind) === kind);
  if (drivers.length === 0) throw new Error(`--only wants portable or linux, not ${values.only}\n${USAGE}`);
  if (drivers.includes('linux') && !canTun) out('SKIPPED: the Linux driver (it needs root and /dev/net/tun)');
  const kinds = drivers.filter((kind) => kind === 'portable' || canTun);
  out(`seed ${seed}, ${minutes} minutes, clocks ${speed} times as fast`);
  const lanes = kinds.flatMap((kind) =>
    (['tcp', 'udp'] as const).map((transport, i) => begin(kind, transport, seed + 100 * i, speed)),
  );
  if (lanes.length === 0) return 0;
  await pass(lanes, minutes * 60_000, out, signal);
  for (const { child } of lanes) if (child.connected) child.send('stop');
  await Promise.all(lanes.map((lane) => ended(lane)));
  const faults = lanes.flatMap((lane) => verdict(lane));
  for (const lane of lanes) for (const line of summary(lane)) out(line);
  for (const fault of faults) out(`FAILED ${fault}`);
  out(faults.length === 0 ? 'everything within its bounds' : `${faults.length} failures`);
  return faults.length === 0 ? 0 : 1;
}

/** A session of its own for each, so that Ctrl-C is ours alone; the Linux driver's also has a network namespace of its own. */
function begin(kind: 'portable' | 'linux', transport: 'tcp' | 'udp', seed: number, speed: number): Lane {
  const command = [
    process.execPath,
    fileURLToPath(new URL('./lane.js', import.meta.url)),
    kind,
    transport,
    String(seed),
  ];
  const inside = ['unshare', '--net', 'sh', '-c', 'ip link set lo up && exec "$0" "$@"'];
  const [first, ...rest] = kind === 'linux' ? [...inside, ...command] : command;
  const env = { ...process.env, WIRESTREAM_SOAK_SPEED: String(speed) };
  const child = spawn(first!, rest, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'], detached: true, env });
  const lane: Lane = {
    name: `${kind} ${transport}`,
    child,
    began: performance.now(),
    warm: null,
    last: null,
    ended: null,
  };
  child.on('message', (report: Report) => (lane.last = report));
  child.on('error', (error) => (lane.ended = error.message));
  child.on('exit', (code, why) => (lane.ended = why ?? String(code)));
  return lane;
}

/** Waits until the time is up, somebody wants it to end, or a lane is dead. */
async function pass(
  lanes: readonly Lane[],
  ms: number,
  out: (line: string) => void,
  signal: AbortSignal,
): Promise<void> {
  const began = performance.now();
  let said = began;
  while (!signal.aborted && lanes.every(({ ended }) => ended === null)) {
    const now = performance.now();
    if (now - began >= ms) return;
    for (const lane of lanes) if (now - began >= WARM * ms) lane.warm ??= lane.last;
    if (now - said >= SAY_EVERY) {
      said = now;
      out(`${((now - began) / 1000).toFixed(0)} s: ${lanes.map(brief).join('; ')}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
}

async function ended(lane: Lane): Promise<void> {
  if (lane.ended !== null) return;
  const timer = setTimeout(() => lane.child.kill('SIGKILL'), READY);
  await new Promise((resolve) => lane.child.once('exit', resolve));
  clearTimeout(timer);
}

function brief({ name, last }: Lane): string {
  if (last === null) return `${name} begins`;
  const { right, lost, wrong, twice, handshakes } = last.tally;
  return `${name} ${right} right, ${lost} lost, ${wrong + twice} wrong, ${handshakes} handshakes`;
}

/** What is beyond its bound. */
function verdict({ name, last, warm, ended }: Lane): string[] {
  if (last === null || !last.done) return [`${name}: it ended by itself (${ended})`];
  const { tally } = last;
  const out: string[] = [];
  if (tally.wrong > 0) out.push(`${name}: ${tally.wrong} replies have a wrong byte`);
  if (tally.twice > 0) out.push(`${name}: ${tally.twice} replies came twice`);
  if (tally.right === 0) out.push(`${name}: nothing came back`);
  if (tally.lost > BOUNDS.lost * tally.sent) out.push(`${name}: ${tally.lost} of ${tally.sent} are lost`);
  if (tally.silence > BOUNDS.silence) out.push(`${name}: no reply for ${(tally.silence / 1000).toFixed(1)} s`);
  if (warm === null) return out;
  for (const [i, who] of ['peer', 'device'].entries()) {
    const gained = last.memory[i]! - warm.memory[i]!;
    if (gained > BOUNDS.memory) out.push(`${name}: the ${who} has gained ${mib(gained)} MiB`);
    const more = last.descriptors[i]! - warm.descriptors[i]!;
    if (more > BOUNDS.descriptors) out.push(`${name}: the ${who} has ${more} more descriptors`);
  }
  return out;
}

function summary({ name, last, warm }: Lane): string[] {
  if (last === null) return [];
  const { sent, right, bytes, lost, wrong, twice, handshakes, silence } = last.tally;
  const from = warm ?? last;
  const change = (what: 'memory' | 'descriptors', show: (n: number) => string) =>
    ['peer', 'device'].map((who, i) => `${who} ${show(from[what][i]!)} → ${show(last[what][i]!)}`).join(', ');
  return [
    `${name}: ${sent} packets, ${right} came back with every byte right (${mib(bytes)} MiB), ${lost} lost, ${wrong} wrong, ${twice} twice; ${handshakes} handshakes`,
    `  the path: ${Object.entries(last.deeds)
      .map(([what, count]) => `${what} ${count}`)
      .join(', ')}; longest silence ${(silence / 1000).toFixed(1)} s`,
    `  memory: ${change('memory', (n) => `${mib(n)} MiB`)}; descriptors: ${change('descriptors', String)}`,
  ];
}

function mib(bytes: number): string {
  return (bytes / (1 << 20)).toFixed(1);
}
