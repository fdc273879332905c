import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { nativeCrypto } from '@wirestream/core/noise/native';
import { campaign, printFailure } from '../sim/campaign.js';

/** A number of runs in a row, and what came of them: what crosses between threads. */
export interface Batch {
  readonly from: number;
  readonly runs: number;
  readonly steps: number;
  readonly real: boolean;
}

export interface Report {
  readonly runs: number;
  readonly states: [string, number][];
  readonly transitions: [string, number][];
  readonly slowest: { readonly ms: number; readonly seed: number };
  /** the first failure, printed */
  readonly failure: string | null;
}

export function runBatch({ from, runs, steps, real }: Batch): Report {
  const result = campaign({ from, runs, steps, ...(real ? { crypto: nativeCrypto } : {}) });
  return {
    runs: result.runs,
    states: [...result.states.states],
    transitions: [...result.states.transitions],
    slowest: result.slowest,
    failure: result.failure === null ? null : printFailure(result.failure),
  };
}

/**
 * Has batches run until `take` gives none, or the signal says stop: in this thread when `jobs` is 1, else in that many others. A batch that
 * is under way when it says stop counts in this thread, and does not in others.
 */
export async function runBatches(
  jobs: number,
  take: () => Batch | null,
  add: (report: Report) => void,
  signal: AbortSignal,
): Promise<void> {
  if (jobs > 1) {
    await Promise.all(Array.from({ length: jobs }, () => work(take, add, signal)));
    return;
  }
  for (let batch = take(); batch !== null && !signal.aborted; batch = take()) {
    add(runBatch(batch));
    // Signals are looked at between batches.
    await new Promise((resolve) => setImmediate(resolve));
  }
}

/** One thread, fed until there is nothing left. */
function work(take: () => Batch | null, add: (report: Report) => void, signal: AbortSignal): Promise<void> {
  const worker = new Worker(new URL(import.meta.url), { workerData: WORKER });
  return new Promise((resolve, reject) => {
    const end = () => void worker.terminate().then(() => resolve());
    const feed = () => {
      const batch = signal.aborted ? null : take();
      if (batch === null) end();
      else worker.postMessage(batch);
    };
    worker.on('message', (report: Report) => {
      if (!signal.aborted) add(report);
      feed();
    });
    worker.on('error', reject);
    signal.addEventListener('abort', end, { once: true });
    feed();
  });
}

const WORKER = 'batches of simulated runs';

if (!isMainThread && workerData === WORKER) {
  const port = parentPort!;
  port.on('message', (batch: Batch) => port.postMessage(runBatch(batch)));
}
