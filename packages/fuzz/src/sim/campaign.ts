import fc from 'fast-check';
import type { Crypto } from '@wirestream/core/noise/crypto';
import { StateLog } from '@wirestream/core/sim/states';
import { Violation } from '@wirestream/core/sim/violation';
import type { World } from '@wirestream/core/sim/world';
import { runScript } from './run.js';
import { printScript, scriptArbitrary, type Script } from './steps.js';

/** Steps of a random script, at most, where nothing else was said. */
export const STEPS = 40;

export interface CampaignOptions {
  /** seed of the first run; the others follow */
  readonly from: number;
  readonly runs: number;
  readonly steps?: number;
  readonly crypto?: Crypto;
  /** called after each run */
  readonly progress?: (seed: number) => void;
}

/** A run that broke a property, and the shortest script found that breaks the same one. */
export interface Failure {
  readonly seed: number;
  readonly steps: number;
  readonly property: string;
  readonly message: string;
  readonly script: Script;
  /** fast-check's way from the seed to the script */
  readonly path: string;
}

export interface Campaign {
  readonly runs: number;
  readonly states: StateLog;
  /** the longest time that two hosts took to find each other again, ms, and the run's seed */
  readonly slowest: { readonly ms: number; readonly seed: number };
  readonly failure: Failure | null;
}

/** The script of one seed. */
export function scriptOf(seed: number, steps = STEPS): Script {
  return fc.sample(scriptArbitrary(steps), { seed, numRuns: 1 })[0]!;
}

/** Runs one random script after the other until one breaks a property. */
export function campaign({ from, runs, steps = STEPS, crypto, progress }: CampaignOptions): Campaign {
  const states = new StateLog();
  let slowest = { ms: 0, seed: from };
  for (let seed = from; seed < from + runs; seed++) {
    let world: World | null = null;
    const options = {
      onWorld: (w: World) => {
        world = w;
      },
      ...(crypto === undefined ? {} : { crypto }),
    };
    try {
      const outcome = runScript(scriptOf(seed, steps), options);
      if (outcome.slowest > slowest.ms) slowest = { ms: outcome.slowest, seed };
    } catch (error) {
      return { runs: seed - from + 1, states, slowest, failure: shrink(seed, steps, nameOf(error)) };
    }
    states.add(world!.states);
    progress?.(seed);
  }
  return { runs, states, slowest, failure: null };
}

/** What broke: a property's name, or whatever was thrown. */
export function nameOf(error: unknown): string {
  return error instanceof Violation ? error.property : String(error);
}

/** Looks for the shortest script that breaks the property which the seed's script breaks. */
export function shrink(seed: number, steps: number, property: string): Failure {
  const details = fc.check(
    fc.property(scriptArbitrary(steps), (script) => {
      try {
        runScript(script);
      } catch (error) {
        if (nameOf(error) === property) throw error;
      }
    }),
    { seed, numRuns: 1 },
  );
  const script = details.counterexample?.[0] ?? scriptOf(seed, steps);
  const message = details.errorInstance instanceof Error ? details.errorInstance.message : property;
  return { seed, steps, property, message, script, path: details.counterexamplePath ?? '0' };
}

/** For people, and for a regression test. */
export function printFailure({ seed, steps, message, script, path }: Failure): string {
  return `${message}\n  seed ${seed}, steps ${steps}, path ${path}\n  npm run sim -- --seed ${seed} --steps ${steps}\n${printScript(script)}`;
}
