import { test } from '@jest/globals';
import type { Kind } from '../support/kinds.js';

/** How each scenario ended over each transport, for the table at the end. */
type Outcome = 'passed' | 'FAILED' | '–';

export class Table {
  readonly #rows = new Map<string, Map<string, string>>();
  readonly #columns: readonly string[];

  /** @param columns in the order in which they are printed */
  constructor(columns: readonly string[]) {
    this.#columns = columns;
  }

  note(scenario: string, column: string, outcome: Outcome, ms = 0): void {
    const row = this.#rows.get(scenario) ?? new Map<string, string>();
    this.#rows.set(scenario, row.set(column, outcome === '–' ? outcome : `${outcome} ${(ms / 1000).toFixed(1)} s`));
  }

  toString(): string {
    const columns = this.#columns;
    const width = Math.max(...[...this.#rows.keys()].map((name) => name.length));
    const line = (name: string, cells: readonly string[]): string =>
      `${name.padEnd(width)}  ${cells.map((cell) => cell.padEnd(14)).join('')}`.trimEnd();
    const rows = [...this.#rows].map(([name, row]) =>
      line(
        name,
        columns.map((column) => row.get(column) ?? 'not run'),
      ),
    );
    return [line('scenario', columns), ...rows].join('\n');
  }
}

/** Registers one scenario of the list for one transport. */
export interface Scenario {
  (name: string, body: () => Promise<void>): void;
  /** it would say nothing over TCP */
  udpOnly(name: string, body: () => Promise<void>): void;
  /** it looks at what wg(8) does not show */
  oursOnly(name: string, body: () => Promise<void>): void;
}

export function scenarios(table: Table, kind: Kind): Scenario {
  const define = (name: string, body: () => Promise<void>): void => {
    test(name, async () => {
      const start = performance.now();
      try {
        await body();
        table.note(name, kind.label, 'passed', performance.now() - start);
      } catch (error) {
        table.note(name, kind.label, 'FAILED', performance.now() - start);
        throw error;
      }
    });
  };
  const where = (fits: boolean) => (name: string, body: () => Promise<void>) => {
    if (fits) define(name, body);
    else table.note(name, kind.label, '–');
  };
  return Object.assign(define, { udpOnly: where(!kind.tcp), oursOnly: where(kind.ours) });
}
