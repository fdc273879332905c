import { readFileSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

/** A defect that is put into core on purpose, to see whether the properties notice. One JSON file each, in packages/fuzz/mutants. */
export interface Mutant {
  /** the file's name without `.json` */
  readonly name: string;
  /** what is wrong then, in one line */
  readonly why: string;
  /** from the root of the repository */
  readonly file: string;
  /** each `find` occurs exactly once */
  readonly edits: readonly { readonly find: string; readonly replace: string }[];
  /** which targets are to notice */
  readonly targets: readonly string[];
  /** why none does, of a mutant that is known to survive */
  readonly survives?: string;
}

const FOLDER = fileURLToPath(new URL('../../mutants/', import.meta.url));

export function readMutants(): Mutant[] {
  return readdirSync(FOLDER)
    .filter((file) => file.endsWith('.json'))
    .map((file) => {
      const text = readFileSync(path.join(FOLDER, file), 'utf8');
      return { name: file.slice(0, -5), ...(JSON.parse(text) as Omit<Mutant, 'name'>) };
    });
}

/** @throws Error when an edit does not fit the source exactly once */
export function applyMutant({ name, edits }: Mutant, source: string): string {
  return edits.reduce((text, { find, replace }) => {
    const parts = text.split(find);
    if (parts.length !== 2) throw new Error(`${name}: ‘${find}’ occurs ${parts.length - 1} times`);
    return parts.join(replace);
  }, source);
}
