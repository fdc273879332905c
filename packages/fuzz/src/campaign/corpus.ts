import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';

/** An input that reached something: bytes that are the input, or the decisions that an arbitrary took to make it. */
export interface Entry {
  readonly kind: 'bytes' | 'choices';
  readonly bytes: Uint8Array;
}

/** Entries of one target that are kept from campaign to campaign, and their size: a corpus is a start, not an archive. */
export const ENTRIES_MAX = 24;
export const ENTRY_MAX = 2048;

/** One file per target, one line per entry. */
export class Corpus {
  constructor(private readonly folder: string) {}

  load(target: string): Entry[] {
    let text: string;
    try {
      text = readFileSync(this.#file(target), 'utf8');
    } catch {
      return [];
    }
    return text.split('\n').flatMap((line): Entry[] => {
      const [kind, data] = line.split(' ');
      if (data === undefined || (kind !== 'bytes' && kind !== 'choices')) return [];
      return [{ kind, bytes: new Uint8Array(Buffer.from(data, 'base64')) }];
    });
  }

  save(target: string, entries: readonly Entry[]): void {
    const kept = entries.filter(({ bytes }) => bytes.length <= ENTRY_MAX).slice(0, ENTRIES_MAX);
    if (kept.length === 0) return;
    mkdirSync(this.folder, { recursive: true });
    const lines = kept.map(({ kind, bytes }) => `${kind} ${Buffer.from(bytes).toString('base64')}\n`);
    writeFileSync(this.#file(target), lines.sort().join(''));
  }

  #file(target: string): string {
    return path.join(this.folder, `${target}.txt`);
  }
}
