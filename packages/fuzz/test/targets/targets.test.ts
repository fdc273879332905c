import { describe, test } from '@jest/globals';
import { runTarget } from '../../src/target.js';
import { TARGETS } from '../../src/targets/all.js';

describe('for random inputs', () => {
  test.each(TARGETS.map((target) => [target.name, target.says, target] as const))(
    '%s: %s',
    (_name, _says, target) => {
      runTarget(target);
    },
    120_000,
  );
});
