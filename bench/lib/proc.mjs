import { readFileSync, readdirSync, statSync } from 'node:fs';

/**
 * What the kernel counts of processes and of the machine (proc(5)). Processor time is counted in ticks of 10 ms
 * (sysconf(3), _SC_CLK_TCK, which is 100 on every Linux that Node runs on).
 */
const TICKS = 100;

/** User and system time of a process with all its threads, also those that have ended, s; 0 when it is gone. */
export function processorTime(pid) {
  try {
    const fields = readFileSync(`/proc/${pid}/stat`, 'latin1')
      .replace(/^.*\) /s, '')
      .split(' ');
    return (Number(fields[11]) + Number(fields[12])) / TICKS;
  } catch {
    return 0;
  }
}

/** Resident memory of a process, bytes; 0 when it is gone. */
export function residentMemory(pid) {
  try {
    return Number(/^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))?.[1] ?? 0) * 1024;
  } catch {
    return 0;
  }
}

/** Time that all processors were not idle, and time in all, s since the machine started. Stolen time counts as busy. */
export function machineTime() {
  const [, ...words] = /^cpu .*/m.exec(readFileSync('/proc/stat', 'latin1'))[0].trim().split(/\s+/);
  // user nice system idle iowait irq softirq steal; guest time is part of user time
  const ticks = words.slice(0, 8).map(Number);
  const all = ticks.reduce((sum, n) => sum + n, 0);
  return { busy: (all - ticks[3] - ticks[4]) / TICKS, all: all / TICKS };
}

/** The processes whose first thread is in a network namespace given by the path of its file. */
export function processesIn(namespaceFile) {
  const wanted = statSync(namespaceFile).ino;
  const inside = (pid) => {
    try {
      return statSync(`/proc/${pid}/ns/net`).ino === wanted;
    } catch {
      return false;
    }
  };
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter(inside);
}
