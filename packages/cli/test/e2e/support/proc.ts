import { existsSync, readFileSync, readdirSync, readlinkSync } from 'node:fs';

/** A process, seen through /proc (proc(5)). */
export function isAlive(pid: number): boolean {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    return !/\) [ZX] /.test(stat);
  } catch {
    return false;
  }
}

/** What its open descriptors refer to, sorted. */
export function descriptors(pid: number): string[] {
  const targets: string[] = [];
  for (const fd of readdirSync(`/proc/${pid}/fd`)) {
    try {
      targets.push(readlinkSync(`/proc/${pid}/fd/${fd}`).replace(/\d+/g, 'N'));
    } catch {
      // closed since
    }
  }
  return targets.sort();
}

export function threads(pid: number): number {
  return readdirSync(`/proc/${pid}/task`).length;
}

/** Resident memory, bytes. */
export function memory(pid: number): number {
  const status = readFileSync(`/proc/${pid}/status`, 'latin1');
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(status)![1]) * 1024;
}

export function commandLine(pid: number): string {
  const path = `/proc/${pid}/cmdline`;
  return existsSync(path) ? readFileSync(path, 'utf8').split('\0').join(' ').trim() : '';
}

/** CPU time that it has used so far, in user and kernel mode, all threads, ms. */
export function cpuTime(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
  // Fields 14 and 15 in hundredths of a second (USER_HZ); the name, field 2, may have anything in it.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) * 10;
}
