import type { World } from '@wirestream/core/sim/world';
import { runScript } from '../sim/run.js';
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
