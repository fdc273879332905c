import { transfer } from './iperf.mjs';
import { ping } from './ping.mjs';
import { machineTime, processorTime, residentMemory } from './proc.mjs';
import { percentiles } from './statistics.mjs';

/** How often memory is looked at during a transfer, ms. */
const SAMPLE = 200;
/** s between two pings, idle and during a transfer. */
const IDLE_INTERVAL = 0.02;
const LOAD_INTERVAL = 0.05;

/**
 * Round trips on the idle tunnel.
 * @returns {Promise<{ times: number[], lost: number }>}
 */
export function idle({ a, address }, seconds) {
  return ping(a, address, { seconds, interval: IDLE_INTERVAL });
}

/**
 * A transfer from a to b, with what it cost.
 * @param {import('./arena.mjs').Entry} entry
 * @param {{ seconds: number, flows: number, congestion: string, pings: boolean }} how
 */
export async function load({ a, address, pids }, { seconds, flows, congestion, pings }) {
  const cpu = () => ({ a: sum(pids.a, processorTime), b: sum(pids.b, processorTime), machine: machineTime() });
  const memory = { a: 0, b: 0 };
  const look = () => {
    for (const end of ['a', 'b']) memory[end] = Math.max(memory[end], sum(pids[end], residentMemory));
  };
  const sampler = setInterval(look, SAMPLE);
  const before = cpu();
  try {
    const pinging = pings ? ping(a, address, { seconds, interval: LOAD_INTERVAL }) : null;
    const result = await transfer(a, address, { seconds, flows, congestion });
    const after = cpu();
    look();
    const gigabytes = result.bytes / 1e9;
    const perGB = (used) => (gigabytes > 0 ? used / gigabytes : null);
    const used = { a: after.a - before.a, b: after.b - before.b };
    return {
      ...result,
      flows,
      cpuPerGB: { a: perGB(used.a), b: perGB(used.b), both: perGB(used.a + used.b) },
      machinePerGB: perGB(after.machine.busy - before.machine.busy),
      machineBusy: (after.machine.busy - before.machine.busy) / (after.machine.all - before.machine.all),
      memory,
      ping: pinging === null ? null : await pinging,
    };
  } finally {
    clearInterval(sampler);
  }
}

/** Round-trip times of several measurements taken together. */
export function together(pings) {
  const known = pings.filter((one) => one !== null);
  const all = percentiles(known.flatMap(({ times }) => times));
  return all === null ? null : { ...all, lost: known.reduce((n, { lost }) => n + lost, 0) };
}

const sum = (pids, of) => pids.reduce((total, pid) => total + of(pid), 0);
