import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { Violation } from '@wirestream/core/sim/violation';
import { printFailure, scriptOf, shrink } from '../../src/sim/campaign.js';
import { runScript } from '../../src/sim/run.js';
import { printScript, scriptArbitrary } from '../../src/sim/steps.js';
import { runTwins } from '../../src/sim/twin.js';

describe('simulation', () => {
  test('fresh random scripts break no property', () => {
    fc.assert(
      fc.property(scriptArbitrary(30), (script) => void runScript(script)),
      { numRuns: 50 },
    );
  }, 60_000);

  test('one seed replays one run exactly', () => {
    for (const seed of [7, 77, 777]) {
      const tell = () => {
        const { world, slowest } = runScript(scriptOf(seed));
        return [slowest, world.now, world.pings, [...world.states.transitions], world.rng.u32()];
      };
      expect(tell()).toEqual(tell());
    }
  });

  test('a script says all: printed and read again, it makes the same run', () => {
    const script = scriptOf(12);
    const again = JSON.parse(printScript(script)) as typeof script;
    expect(runScript(again).world.pings).toEqual(runScript(script).world.pings);
  });

  test('a failure is printed with its seed and shrunk to what matters', () => {
    // A bound that nothing can meet, so that there is something to shrink.
    const failure = shrink(3, 20, 'never');
    expect(printFailure(failure)).toContain('npm run sim -- --seed 3 --steps 20');
  });
});

describe('nextWake', () => {
  test('is complete: woken only then, a device does what it does when it is woken every millisecond', () => {
    fc.assert(
      fc.property(scriptArbitrary(12), (script) => {
        const [announced, polled] = runTwins(script);
        if (announced !== polled) throw new Violation('nextWake', firstDifference(announced, polled));
      }),
      { numRuns: 25 },
    );
  }, 120_000);

  test('across the times of WireGuard’s own timers too', () => {
    const setup = { ...scriptOf(1).setup, hosts: 2, transport: 'tcp' as const, mutual: true, rate: 0, keepalive: 0 };
    const steps = [
      { do: 'traffic' as const, from: 0, to: 1, count: 600, wait: 20_000 },
      ...Array.from({ length: 10 }, () => ({ do: 'wait' as const, wait: 20_000 })),
    ];
    const [announced, polled] = runTwins({ setup, steps });
    expect(announced).toBe(polled);
  }, 60_000);
});

function firstDifference(a: string, b: string): string {
  const [left, right] = [a.split('\n'), b.split('\n')];
  const at = left.findIndex((line, i) => line !== right[i]);
  return `${left.slice(at - 3, at + 3).join('\n')}\nwhen polled:\n${right.slice(at - 3, at + 3).join('\n')}`;
}
