/** What of a terminal is needed to draw on it; `process.stdout` is one. */
export interface ScreenOutput {
  readonly columns?: number;
  readonly rows?: number;
  write(text: string): unknown;
}

// xterm's control sequences (ctlseqs, "Functions using CSI"); 2026 has a frame appear at once, where terminals know it.
const ENTER = '\x1b[?1049h\x1b[?25l';
const LEAVE = '\x1b[?25h\x1b[?1049l';
const BEGIN = '\x1b[?2026h\x1b[H\x1b[J';
const END = '\x1b[?2026l';
// eslint-disable-next-line no-control-regex
const COLOUR = /\x1b\[[0-9;]*m/g;

/** VT100's, for a terminal that does not tell its size, or says 0 */
const [COLUMNS, ROWS] = [80, 24];

/** The terminal's second screen, drawn over in place; when it is left, the first one is there again as it was. */
export class Screen {
  #open = false;

  constructor(private readonly out: ScreenOutput) {}

  draw(text: string): void {
    const { columns, rows } = this.out;
    const enter = this.#open ? '' : ENTER;
    this.#open = true;
    this.out.write(enter + BEGIN + fit(text, columns || COLUMNS, rows || ROWS) + END);
  }

  /** May be called more than once. */
  leave(): void {
    if (!this.#open) return;
    this.#open = false;
    this.out.write(LEAVE);
  }
}

/** As many whole lines as the screen holds when the terminal wraps them, and in the last row how many there are more. */
export function fit(text: string, columns: number, rows: number): string {
  const lines = text.replace(/\n$/, '').split('\n');
  const heights = lines.map((line) => Math.max(1, Math.ceil(line.replace(COLOUR, '').length / columns)));
  const total = heights.reduce((sum, height) => sum + height, 0);
  if (total <= rows) return lines.join('\n');
  let shown = 0;
  for (let left = rows - 1; shown < lines.length && heights[shown]! <= left; shown++) left -= heights[shown]!;
  return [...lines.slice(0, shown), `(${lines.length - shown} more lines)`].join('\n');
}
