import { readdirSync, readFileSync } from 'node:fs';

/** What the threads of a process have had: for each, ms that it ran and ms that it waited for a core. */
export type Schedule = ReadonlyMap<string, readonly [ran: number, waited: number]>;

/** Of a process (Linux, Documentation/scheduler/sched-stats: /proc/PID/task/TID/schedstat); empty where that cannot be told. */
export function scheduleOf(pid: number): Schedule {
  const out = new Map<string, readonly [number, number]>();
  const folder = `/proc/${pid}/task`;
  try {
    for (const thread of readdirSync(folder)) {
      const [ran, waited] = readFileSync(`${folder}/${thread}/schedstat`, 'utf8').split(' ').map(Number);
      out.set(thread, [ran! / 1e6, waited! / 1e6]);
    }
  } catch {
    // A thread that has just ended, or no such files at all.
  }
  return out;
}

/**
 * How long the thread that worked most had to wait for a core since then, ms: what other work on the machine has cost a process, and no fault of its own.
 */
export function waitedSince(before: Schedule, now: Schedule): number {
  let [most, wait] = [0, 0];
  for (const [thread, [ran, waited]] of now) {
    const [ranBefore, waitedBefore] = before.get(thread) ?? [ran, waited];
    if (ran - ranBefore <= most) continue;
    most = ran - ranBefore;
    wait = waited - waitedBefore;
  }
  return wait;
}
