import { catalogue, type Entry } from './catalogue.js';

export interface Selection {
  readonly quick: boolean;
  /** each one's words have to be in a name together; empty for all */
  readonly only: readonly string[];
}

/** The scenarios of a run, in the catalogue's order. @throws Error when no scenario is so called */
export function select({ quick, only }: Selection): Entry[] {
  const isMeant = ({ name }: Entry): boolean =>
    only.length === 0 || only.some((words) => words.split(/\s+/).every((word) => name.includes(word)));
  const all = catalogue(['udp', 'tcp']).filter((entry) => !quick || entry.quick);
  const chosen = all.filter(isMeant);
  if (chosen.length > 0) return chosen;
  const asked = only.map((words) => `"${words}"`).join(', ');
  throw new Error(
    `--only ${asked}: no ${quick ? 'scenario of the short run' : 'scenario'} has these words; names are like "${all[0]!.name}" and "${all.at(-1)!.name}"`,
  );
}
