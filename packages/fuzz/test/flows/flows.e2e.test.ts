import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, test } from '@jest/globals';

/** Processes run compiled code only. */
const SCRIPT = fileURLToPath(new URL('../../dist/flows/run.js', import.meta.url));
const why = existsSync(SCRIPT) ? '' : ' (SKIPPED: needs the build: npm run build)';

/** A pair of tunnels without privileges and, as root, one with the kernel at an end. */
const ROUNDS = '2';

(why === '' ? test : test.skip)(
  `programs at both ends of a tunnel get what they ask for, and nothing is left${why}`,
  () => {
    const { status, stdout, stderr } = spawnSync(process.execPath, [SCRIPT, '--rounds', ROUNDS], { encoding: 'utf8' });
    expect(`${stdout}${stderr}`.match(/FAILED.*/)?.[0]).toBeUndefined();
    expect(status).toBe(0);
  },
  120_000,
);
