import { describe, expect, test } from '@jest/globals';
import { nativeCrypto } from '@wirestream/core/noise/native';
import { campaign, printFailure, type Campaign } from '../../src/sim/campaign.js';

/** The first seed; the runs of `npm run sim` begin elsewhere when told so. */
const FROM = 1;
const RUNS = 2_000;

const outbound = ['none', 'none+dialling', 'none+established', 'authenticated', 'authenticated+dialling'];
const inbound = ['none', 'authenticated'];
const pending = ['no', 'one', 'more'];

/** States (outbound + its successor to be, inbound, pending list) that the runs must come to. */
const STATES = [
  ...outbound.flatMap((o) => inbound.flatMap((i) => pending.map((p) => `${o}, ${i}, ${p} pending`))),
  'authenticated+established, none, no pending',
  'authenticated+established, authenticated, no pending',
];

/** Moves that the rules of DESIGN 4 speak of. */
const MOVES = {
  'a dial': 'none, none, no pending → none+dialling, none, no pending',
  'a dial that fails': 'none+dialling, none, no pending → none, none, no pending',
  'a dial that is answered': 'none+dialling, none, no pending → none+established, none, no pending',
  'a greeting without an answer': 'none+established, none, no pending → none, none, no pending',
  'an authenticated dial': 'none+established, none, no pending → authenticated, none, no pending',
  'a stranger': 'none, none, no pending → none, none, one pending',
  'a promotion': 'none, none, one pending → none, authenticated, no pending',
  'a promotion while dialling': 'none+established, none, one pending → none+established, authenticated, no pending',
  'two connections': 'none+established, authenticated, no pending → authenticated, authenticated, no pending',
  'the outbound of two lost': 'authenticated, authenticated, no pending → none, authenticated, no pending',
  'the inbound of two lost': 'authenticated, authenticated, no pending → authenticated, none, no pending',
  'a suspect connection': 'authenticated, none, no pending → authenticated+dialling, none, no pending',
  'a replacement': 'authenticated+established, none, no pending → authenticated, none, no pending',
  'a suspect inbound connection': 'none, authenticated, no pending → none+dialling, authenticated, no pending',
};

describe('random scripts', () => {
  let result: Campaign;

  test(`${RUNS} runs break no property`, () => {
    result = campaign({ from: FROM, runs: RUNS });
    if (result.failure !== null) throw new Error(printFailure(result.failure));
    expect(result.runs).toBe(RUNS);
  }, 600_000);

  test('and come to every named state', () => {
    expect(STATES.filter((state) => !result.states.states.has(state))).toEqual([]);
  });

  test.each(Object.entries(MOVES))('and make the move: %s', (_name, move) => {
    expect(result.states.transitions.has(move)).toBe(true);
  });

  test('the real primitives do as well', () => {
    const { failure } = campaign({ from: 9_000, runs: 30, crypto: nativeCrypto });
    expect(failure === null ? null : printFailure(failure)).toBeNull();
  }, 120_000);
});
