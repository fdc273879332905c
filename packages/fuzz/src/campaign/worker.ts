import { parentPort, workerData } from 'node:worker_threads';
import { CoverageMap, Profile, type MapData } from './coverage.js';
import type { Entry } from './corpus.js';
import type { Failure } from './slice.js';

/** What a worker is started with. */
export interface WorkerSetup {
  readonly fixtures: string;
  /** where the input that is being run lies, for when it never comes back: kind, length, bytes */
  readonly current: SharedArrayBuffer;
}

export type Job =
  | {
      readonly do: 'slice';
      readonly target: string;
      readonly seed: number;
      readonly ms: number;
      readonly entries: readonly Entry[];
    }
  | { readonly do: 'distil'; readonly target: string; readonly entries: readonly Entry[] }
  | { readonly do: 'coverage' };

export type Result =
  | {
      readonly did: 'slice';
      readonly executions: number;
      readonly failures: readonly Failure[];
      readonly news: readonly Entry[];
      readonly painted: number;
      readonly states: number;
    }
  | { readonly did: 'distil'; readonly kept: readonly Entry[] }
  | { readonly did: 'coverage'; readonly data: MapData[] };

/** Offsets in the shared memory. */
export const CURRENT_HEADER = 8;

if (parentPort !== null && workerData !== null && 'current' in (workerData as object)) {
  const port = parentPort;
  const { fixtures, current } = workerData as WorkerSetup;
  // Before anything of core is loaded, so that what modules do when they are loaded counts.
  const profile = new Profile('/packages/core/');
  const { Slice, distil } = await import('./slice.js');
  const { subjects, seeds } = await import('./subjects.js');
  const all = new Map(subjects(fixtures).map((subject) => [subject.name, subject]));
  const map = new CoverageMap();
  const states = new Set<string>();
  map.add(profile.take());
  const words = new Uint32Array(current, 0, 2);
  const room = new Uint8Array(current, CURRENT_HEADER);
  const about = ({ kind, bytes }: Entry) => {
    words[0] = kind === 'bytes' ? 1 : 2;
    words[1] = Math.min(bytes.length, room.length);
    room.set(bytes.subarray(0, room.length));
  };
  const work = (job: Job): Result => {
    if (job.do === 'coverage') return { did: 'coverage', data: map.toData() };
    const subject = all.get(job.target)!;
    const entries = [...seeds(fixtures, job.target), ...job.entries];
    if (job.do === 'distil') return { did: 'distil', kept: distil(subject, profile, job.entries) };
    const result = new Slice(subject, profile, map, states, { ...job, entries, about }).run();
    return { did: 'slice', ...result, painted: map.painted, states: states.size };
  };
  port.on('message', (job: Job) => port.postMessage(work(job)));
  port.postMessage('ready');
}
