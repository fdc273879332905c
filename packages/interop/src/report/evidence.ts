import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { packetsOf } from '../record/pcap.js';
import type { Context } from '../scenario/context.js';
import { other, type Side } from '../scenario/plan.js';
import type { End } from '../sides/end.js';
import { runProgram } from '../sides/shell.js';
import type { Evidence } from './failure.js';
import { wireEvents, type WireEvent } from './wire.js';

/** Gathers what both ends know of a scenario that failed, into a folder and for its report. */

/** Seconds for an end that may be in a bad state. */
const LIMIT = 15;

/**
 * @param folder is emptied
 * @param command wirestream and its first arguments
 * @param began Unix time at which the scenario began, seconds
 */
export async function keepEvidence(
  folder: string,
  context: Context,
  command: readonly string[],
  began: number,
): Promise<Evidence> {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const files = new Map<string, Buffer>();
  const states = { us: '', kernel: '' };
  for (const end of [context.us, context.kernel]) {
    const found = await end
      .collect()
      .catch((error: Error) => new Map([[`${end.side}.missing`, Buffer.from(error.message)]]));
    for (const [name, bytes] of found) {
      files.set(name, bytes);
      writeFileSync(join(folder, name), bytes, { mode: 0o600 });
    }
    const shown = await end.shown().catch(String);
    const state = await end.sh(`ip -s addr; ip -4 route; ip -6 route; ip neigh; ss -tuanp`, LIMIT, true).catch(String);
    writeFileSync(join(folder, `${end.side}-state.txt`), `${shown}\n${state}`);
    states[end.side] = `${shown.trimEnd()}\n${await pathFrom(end, context)}`;
  }
  const keys = files.has('us.keys') ? ['--keys', join(folder, 'us.keys')] : [];
  const decode = async (side: Side, flag: string): Promise<string | null> => {
    if (!files.has(`${side}-outer.pcap`)) return null;
    const [program, ...args] = command;
    const capture = join(folder, `${side}-outer.pcap`);
    return (await runProgram(program!, [...args, 'decode', flag, ...keys, capture], 60)).bytes.toString('utf8');
  };
  const events = async (side: Side): Promise<WireEvent[] | null> => {
    const lines = await decode(side, '--json');
    return lines === null ? null : wireEvents(lines, context.plan);
  };
  const decoded = (await decode('us', '--all')) ?? 'nothing was captured';
  writeFileSync(join(folder, 'decoded.txt'), decoded);
  const text = (name: string): string => files.get(name)?.toString('utf8') ?? '';
  return {
    began,
    booted: await bootTime(context),
    wire: { us: await events('us'), kernel: await events('kernel') },
    states,
    logs: { us: text('us.log'), kernel: text('kernel.log') },
    decoded,
    firstPacket: firstPacket(files.get('us-outer.pcap')),
  };
}

/** How an end would send to the other one: route, and Ethernet address. */
async function pathFrom(end: End, { plan }: Context): Promise<string> {
  const there = plan[other(end.side)].outer[plan.family];
  const text = await end.sh(`ip route get ${there}; ip neigh show to ${there}`, LIMIT, true).catch(String);
  return text
    .split('\n')
    .filter((line) => line.trim() !== '' && line.trim() !== 'cache')
    .map((line) => `outside: ${line.trim()}`)
    .join('\n');
}

/** By this host's clock, so that a guest's need not be right. */
async function bootTime({ kernel }: Context): Promise<number | null> {
  const said = await kernel.sh('cat /proc/uptime', LIMIT, true).catch(() => '');
  const up = Number.parseFloat(said);
  return Number.isNaN(up) ? null : Date.now() / 1000 - up;
}

/** Unix time in seconds, from a capture as tcpdump writes it. */
function firstPacket(pcap: Buffer | undefined): number | null {
  return pcap === undefined ? null : (packetsOf(pcap)[0]?.seconds ?? null);
}
