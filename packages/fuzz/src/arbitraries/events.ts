import fc from 'fast-check';

/** Sequences of events: on one peer's timers here; on whole devices in sim/steps.ts. */

export { scriptArbitrary, setupArbitrary, stepArbitrary } from '../sim/steps.js';

/** What happens to a peer, and how long after the event before. */
export interface TimerEvent {
  readonly wait: number;
  readonly what:
    | 'data sent'
    | 'data received'
    | 'any sent'
    | 'any received'
    | 'traversal'
    | 'initiation sent'
    | 'handshake complete'
    | 'session derived'
    | 'gave up'
    | 'clear'
    | 'nothing';
}

const wait = fc.oneof(
  fc.constantFrom(0, 1, 5_000, 9_999, 10_000, 10_001, 15_000, 15_334, 25_000, 540_000),
  fc.nat({ max: 30_000 }),
);

export const timerEvents: fc.Arbitrary<TimerEvent[]> = fc.array(
  fc.record({
    wait,
    what: fc.constantFrom(
      ...(['data sent', 'data received', 'any sent', 'any received', 'traversal', 'initiation sent'] as const),
      ...([
        'handshake complete',
        'session derived',
        'gave up',
        'clear',
        'nothing',
        'data sent',
        'data received',
      ] as const),
    ),
  }),
  { maxLength: 40, size: 'max' },
);
