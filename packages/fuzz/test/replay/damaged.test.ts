import { fileURLToPath } from 'node:url';
import { describe, test } from '@jest/globals';
import { subjects } from '../../src/campaign/subjects.js';
import { runTarget } from '../../src/target.js';

/** What the kernel recorded, cut, damaged and in other pieces. The engine takes a hundred times as long as the reader; campaigns do many more of both. */
const all = subjects(fileURLToPath(new URL('../../../../fixtures', import.meta.url)));
const isLong = process.env['WIRESTREAM_LONG'] === '1';

describe('the kernel’s recordings, damaged', () => {
  test.each([
    ['recording', 'the reader', isLong ? 20_000 : 2000],
    ['replay-engine', 'the engine', isLong ? 2000 : 60],
  ])(
    '%s: to %s, %i times',
    (name, _, runs) =>
      runTarget(
        all.find((one) => one.name === name)!,
        { runs },
      ),
    isLong ? 900_000 : 180_000,
  );
});
