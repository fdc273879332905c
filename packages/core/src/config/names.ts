/** Interface names that wg-quick accepts as the name of a file (wg-quick(8)); the kernel's limit is 15 bytes (IFNAMSIZ - 1). */
const INTERFACE_NAME = /^[a-zA-Z0-9_=+.-]{1,15}$/;

/** Whether Linux and wg-quick take `name` as an interface's name. */
export function isInterfaceName(name: string): boolean {
  return INTERFACE_NAME.test(name) && name !== '.' && name !== '..';
}

/** The interface that a configuration file is for: its name without directory and `.conf`; null when that is not a name. */
export function interfaceNameOf(path: string): string | null {
  const match = /(?:^|\/)([^/]+)\.conf$/.exec(path);
  return match !== null && isInterfaceName(match[1]!) ? match[1]! : null;
}

/** The candidate most like `word`, if it is like it at all: at most a third of its letters differ. Case does not count. */
export function nearestName(word: string, candidates: Iterable<string>): string | null {
  let best: string | null = null;
  let least = Math.floor(word.length / 3) + 1;
  for (const candidate of candidates) {
    const distance = editDistance(word.toLowerCase(), candidate.toLowerCase());
    if (distance < least) {
      least = distance;
      best = candidate;
    }
  }
  return best;
}

/** Letters to insert, delete or replace to make one word of the other (Levenshtein), row by row. */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const replace = row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(replace, row[j]! + 1, next[j - 1]! + 1));
    }
    row = next;
  }
  return row[b.length]!;
}
