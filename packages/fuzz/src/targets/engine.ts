import fc from 'fast-check';
import type { World } from '@wirestream/core/sim/world';
import { runScript } from '../sim/run.js';
import { blast, bothDialAtOnce, damagedUnderTraffic, firstContact, killedUnderTraffic } from '../sim/scenarios.js';
import { scriptArbitrary, type Script } from '../sim/steps.js';
import { target } from '../target.js';

/** Whole devices on a simulated network, guided by the states and moves of their connections that a script leads to. */
export const engine = target<Script>({
  name: 'engine',
  says: 'no order of events loses a tunnel, invents or repeats a packet, speaks to strangers, or leaves anything behind (sim/run.ts)',
  runs: 25,
  arbitrary: scriptArbitrary(30),
  check(script) {
    let world: World | null = null;
    runScript(script, { onWorld: (made) => void (world = made) });
    const { states, transitions } = (world as World | null)!.states;
    return [...states.keys(), ...transitions.keys()];
  },
});

const SCENARIOS = {
  'first contact': firstContact,
  'both dial at once': bothDialAtOnce,
  'killed under traffic': killedUnderTraffic,
  'damaged under traffic': damagedUnderTraffic,
  blast: (options: { seed: number; latency: number }) => blast({ ...options, strangers: 200, sources: 4 }),
};

interface Scenario {
  readonly name: keyof typeof SCENARIOS;
  readonly seed: number;
}

export const engineScenarios = target<Scenario>({
  name: 'engine-scenarios',
  says: 'what is promised of single situations holds for other random numbers, too (sim/scenarios.ts)',
  runs: 12,
  arbitrary: fc.record({
    name: fc.constantFrom(...(Object.keys(SCENARIOS) as (keyof typeof SCENARIOS)[])),
    seed: fc.integer({ min: 1, max: 0x7fffffff }),
  }),
  check: ({ name, seed }) => void SCENARIOS[name]({ seed, latency: 10 }),
});
