import type { StateLog } from '@wirestream/core/sim/states';

/**
 * States and moves of a peer's connections that many random runs must come to; if they do not, the runs no longer try what they are there to try.
 * A state is (outbound and the candidate to replace it, inbound, pending list).
 */

const OUTBOUND = ['none', 'none+dialling', 'none+established', 'authenticated', 'authenticated+dialling'];
const INBOUND = ['none', 'authenticated'];
const PENDING = ['no', 'one', 'more'];

export const STATES: readonly string[] = [
  ...OUTBOUND.flatMap((o) => INBOUND.flatMap((i) => PENDING.map((p) => `${o}, ${i}, ${p} pending`))),
  'authenticated+established, none, no pending',
  'authenticated+established, authenticated, no pending',
];

/** Moves that the rules of DESIGN 4 speak of. */
export const MOVES: Readonly<Record<string, string>> = {
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

/** Runs after which every one of them has been seen, whatever the seeds. */
export const ENOUGH_RUNS = 2_000;

/** What was not come to: states as they are, moves by their names. */
export function neverVisited(log: StateLog): string[] {
  return [
    ...STATES.filter((state) => !log.states.has(state)),
    ...Object.keys(MOVES).filter((name) => !log.transitions.has(MOVES[name]!)),
  ];
}
