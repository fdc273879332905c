import { execFile } from 'node:child_process';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, test } from '@jest/globals';
import { LONG, describeReal } from './support/requirements.js';

interface Holdings {
  readonly descriptors: number;
  readonly threads: number;
  readonly resources: number;
  /** bytes */
  readonly heap: number;
}

/** Bytes. A few kilobytes come and go with the collector's own structures; a leak of 200 bytes a round would be over it. */
const HEAP_SLACK = 100_000;
/** Code compiled late counts as heap, more of it than any leak that is looked for: here nothing is compiled further than bytecode. */
const FLAGS = '--expose-gc --no-opt --no-sparkplug';

async function upAndDown(driver: string, times: number): Promise<{ early: Holdings; late: Holdings }> {
  const script = path.join(path.dirname(fileURLToPath(import.meta.url)), 'support/updown.mjs');
  const command = `ip link set lo up && exec "${process.execPath}" ${FLAGS} "${script}" ${driver} ${times}`;
  const { stdout } = await promisify(execFile)('unshare', ['-n', 'sh', '-c', command]);
  return JSON.parse(stdout) as { early: Holdings; late: Holdings };
}

describeReal('a device that comes up, shakes hands and goes down again and again in one process', ['unshare'], () => {
  test.each([
    ['portable', 1000],
    ['linux', LONG ? 1000 : 20],
  ])(
    'with the %s driver, %i times: descriptors, threads, handles and heap are back where they were',
    async (driver, times) => {
      const { early, late } = await upAndDown(driver, times);
      expect(late.descriptors).toBe(early.descriptors);
      expect(late.threads).toBe(early.threads);
      expect(late.resources).toBe(early.resources);
      expect(late.heap - early.heap).toBeLessThan(HEAP_SLACK);
    },
    LONG ? 1_200_000 : 120_000,
  );
});
