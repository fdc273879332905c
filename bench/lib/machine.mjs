import { cpus, loadavg, release, totalmem } from 'node:os';
import { machineTime } from './proc.mjs';
import { attempt, sleep } from './run.mjs';

/** From this share of all processors' time on, somebody else is at work. */
const BUSY = 0.05;

/** What a result needs beside it to mean something. */
export async function describeMachine(contestants) {
  const before = machineTime();
  await sleep(1000);
  const after = machineTime();
  const processors = cpus();
  const busy = (after.busy - before.busy) / (after.all - before.all);
  return {
    date: new Date().toISOString(),
    processor: processors[0]?.model ?? 'unknown',
    cores: processors.length,
    memoryGB: Math.round(totalmem() / 2 ** 30),
    kernel: release(),
    node: process.versions.node,
    openssl: process.versions.openssl,
    congestionControl: attempt(['sysctl', '-n', 'net.ipv4.tcp_congestion_control'])?.text.trim() ?? 'unknown',
    loadAverage: loadavg(),
    busyBefore: busy,
    quiet: busy < BUSY,
    versions: Object.fromEntries(contestants.map((one) => [one.id, one.describe()])),
  };
}

export function machineLines(machine) {
  const { processor, cores, memoryGB, kernel, node, openssl, loadAverage, busyBefore, quiet, versions } = machine;
  const lines = [
    `${processor}, ${cores} cores, ${memoryGB} GB; Linux ${kernel}; Node ${node}, OpenSSL ${openssl}; the system's congestion control: ${machine.congestionControl}`,
    `load average at the start ${loadAverage.map((n) => n.toFixed(2)).join(' ')}, processors ${(busyBefore * 100).toFixed(0)} % busy`,
    ...Object.entries(versions).map(([id, text]) => `${id}: ${text}`),
  ];
  if (!quiet) lines.push('WARNING: the machine is busy with something else; what follows is not worth keeping');
  return lines;
}
