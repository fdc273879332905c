import { fstatSync, statSync, type Stats } from 'node:fs';
import { resolve } from 'node:path';
import { WirestreamError } from '@wirestream/core/device/errors';

/**
 * Refuses outputs that would destroy what is to be read, or each other: a file is emptied when it is opened for writing.
 * @param outputs paths, `-` for standard output @param inputs paths, `-` for standard input
 * @throws WirestreamError usage
 */
export function refuseOverwriting(outputs: readonly string[], inputs: readonly string[]): void {
  const read = new Map(inputs.map((file) => [identityOf(file, true), file]));
  const written = new Set<string>();
  for (const file of outputs.filter((name) => name !== '-')) {
    const identity = identityOf(file, false);
    if (identity === null) continue;
    if (read.has(identity)) {
      throw new WirestreamError(
        'usage',
        `${file} is to be read, and cannot be written at the same time`,
        'name another file',
      );
    }
    if (written.has(identity)) {
      throw new WirestreamError('usage', `${file} is named for two outputs`, 'name another file for one of them');
    }
    written.add(identity);
  }
}

/** What two names of one file have in common; null for what is no file that could be destroyed (a pipe, a device). */
function identityOf(file: string, isRead: boolean): string | null {
  let stats: Stats | undefined;
  try {
    stats = isRead && file === '-' ? fstatSync(0) : statSync(file, { throwIfNoEntry: false });
  } catch {
    // Whoever opens it says what is wrong.
    return null;
  }
  if (stats === undefined) return resolve(file);
  return stats.isFile() ? `${stats.dev} ${stats.ino}` : null;
}
