import { readFileSync } from 'node:fs';
import { describe, expect, test } from '@jest/globals';
import { applyMutant, readMutants } from '../../src/mutants/mutant.js';
import { TARGETS } from '../../src/targets/all.js';

const ROOT = new URL('../../../../', import.meta.url);
const names = new Set([...TARGETS.map(({ name }) => name), 'recording', 'replay-engine']);

describe('every mutant', () => {
  test.each(readMutants().map((mutant) => [mutant.name, mutant] as const))('%s fits the source', (_, mutant) => {
    const source = readFileSync(new URL(mutant.file, ROOT), 'utf8');
    expect(applyMutant(mutant, source)).not.toBe(source);
    expect(mutant.why).not.toBe('');
    expect(mutant.targets.filter((name) => !names.has(name))).toEqual([]);
  });

  test('there are at least 40', () => {
    expect(readMutants().length).toBeGreaterThanOrEqual(40);
  });
});
