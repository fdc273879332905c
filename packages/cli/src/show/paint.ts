/** The escape sequences that wg(8) puts into its output on a terminal (ECMA-48 SGR), or none of them. */
export interface Paint {
  readonly reset: string;
  readonly bold: string;
  readonly red: string;
  readonly green: string;
  readonly yellow: string;
  readonly cyan: string;
}

export const COLOURS: Paint = {
  reset: '\x1b[0m',
  bold: '\x1b[1m',
  red: '\x1b[31m',
  green: '\x1b[32m',
  yellow: '\x1b[33m',
  cyan: '\x1b[36m',
};

export const PLAIN: Paint = { reset: '', bold: '', red: '', green: '', yellow: '', cyan: '' };

/** Colours as `WG_COLOR_MODE` has it: always, never, or (auto) on a terminal. */
export function paintFor(mode: string | undefined, isTerminal: boolean): Paint {
  if (mode === 'always') return COLOURS;
  if (mode === 'never') return PLAIN;
  return isTerminal ? COLOURS : PLAIN;
}
