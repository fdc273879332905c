import { readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from '@jest/globals';
import { readRegression, replay } from '../../src/campaign/replay.js';
import { subjects } from '../../src/campaign/subjects.js';

/** Inputs that once broke a property, as `npm run fuzz` writes them. Each is run as it is; that none throws is the test. */
const FOLDER = fileURLToPath(new URL('./', import.meta.url));
const all = subjects(fileURLToPath(new URL('../../../../fixtures', import.meta.url)));
const files = readdirSync(FOLDER).filter((name) => name.endsWith('.json'));

describe('found by properties, and fixed', () => {
  test.each(files.map((name) => [name, readRegression(`${FOLDER}${name}`)] as const))('%s', (_, regression) => {
    const subject = all.find(({ name }) => name === regression.target);
    expect(subject?.name).toBe(regression.target);
    replay(subject!, regression);
  });
});
