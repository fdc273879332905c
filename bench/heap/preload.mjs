/**
 * Loaded into the processes of a tunnel whose allocations are to be profiled (`node --import`), which know nothing of it. In the engine's
 * thread it samples every allocation between the moments at which the files `start` and `stop` appear in a folder, also of objects that
 * were collected at once, and leaves what it found there.
 */
import { existsSync, mkdirSync, renameSync, writeFileSync } from 'node:fs';
import { Session } from 'node:inspector';
import path from 'node:path';
import { PerformanceObserver } from 'node:perf_hooks';
import { isMainThread } from 'node:worker_threads';

/** Mean bytes between two samples. */
const INTERVAL = 2048;
/** How often the files are looked for, ms. */
const LOOK = 250;

const folder = process.env.WIRESTREAM_BENCH_HEAP;
if (!isMainThread && folder !== undefined) watch();

function watch() {
  const session = new Session();
  session.connect();
  /** The inspector answers at once when it is asked by its own thread. */
  const ask = (method, params) => {
    let answer;
    session.post(method, params, (error, result) => {
      if (error) throw error;
      answer = result;
    });
    return answer;
  };
  let collections = 0;
  let pauses = 0;
  const observer = new PerformanceObserver((list) => {
    for (const { duration } of list.getEntries()) {
      collections++;
      pauses += duration;
    }
  });
  let before = null;
  const timer = setInterval(() => {
    if (before === null && existsSync(path.join(folder, 'start'))) {
      before = { at: performance.now(), ...process.memoryUsage() };
      ask('HeapProfiler.enable');
      ask('HeapProfiler.startSampling', {
        samplingInterval: INTERVAL,
        includeObjectsCollectedByMajorGC: true,
        includeObjectsCollectedByMinorGC: true,
      });
      observer.observe({ entryTypes: ['gc'] });
    } else if (before !== null && existsSync(path.join(folder, 'stop'))) {
      clearInterval(timer);
      const { profile } = ask('HeapProfiler.stopSampling');
      observer.disconnect();
      const { heapUsed, arrayBuffers } = process.memoryUsage();
      const growth = { heap: heapUsed - before.heapUsed, arrayBuffers: arrayBuffers - before.arrayBuffers };
      const seconds = (performance.now() - before.at) / 1000;
      save({ pid: process.pid, seconds, collections, pauses, growth, head: profile.head });
    }
  }, LOOK);
  timer.unref();
}

/** The file appears complete. */
function save(result) {
  mkdirSync(folder, { recursive: true });
  const file = path.join(folder, `${process.pid}.json`);
  writeFileSync(`${file}.part`, JSON.stringify(result));
  renameSync(`${file}.part`, file);
}
