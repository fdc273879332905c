import { describe, expect, test } from '@jest/globals';
import { nativeCrypto } from '@wirestream/core/noise/native';
import { campaign, printFailure, type Campaign } from '../../src/sim/campaign.js';
import { ENOUGH_RUNS, MOVES, STATES, neverVisited } from '../../src/sim/named.js';

/** The first seed; the runs of `npm run sim` begin elsewhere when told so. */
const FROM = 1;
const RUNS = ENOUGH_RUNS;

describe('random scripts', () => {
  let result: Campaign;

  test(`${RUNS} runs break no property`, () => {
    result = campaign({ from: FROM, runs: RUNS });
    if (result.failure !== null) throw new Error(printFailure(result.failure));
    expect(result.runs).toBe(RUNS);
  }, 600_000);

  test(`and come to each of the ${STATES.length} named states and ${Object.keys(MOVES).length} named moves`, () => {
    expect(neverVisited(result.states)).toEqual([]);
  });

  test('the real primitives do as well', () => {
    const { failure } = campaign({ from: 9_000, runs: 30, crypto: nativeCrypto });
    expect(failure === null ? null : printFailure(failure)).toBeNull();
  }, 120_000);
});
