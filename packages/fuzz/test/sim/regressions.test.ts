import { describe, test } from '@jest/globals';
import { readFileSync, readdirSync } from 'node:fs';
import { runScript } from '../../src/sim/run.js';
import type { Script } from '../../src/sim/steps.js';

/** Scripts that once broke a property, shrunk. Each is run as it is; that none throws is the test. */
const FOLDER = new URL('regressions/', import.meta.url);

describe('found by simulation, and fixed', () => {
  test.each(readdirSync(FOLDER))('%s', (name) => {
    runScript(JSON.parse(readFileSync(new URL(name, FOLDER), 'utf8')) as Script);
  });
});
