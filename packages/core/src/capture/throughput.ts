/** How many columns a sparkline has at most. */
const COLUMNS = 48;
/** The narrowest column, s. */
const NARROWEST = 1 / 16;
const BARS = '▁▂▃▄▅▆▇█';

/**
 * Bytes over time in a fixed number of columns: when time runs out of them, pairs of columns become one, so that any
 * length of capture takes the same memory.
 */
export class Throughput {
  /** s per column */
  width = NARROWEST;
  readonly columns = new Float64Array(COLUMNS);
  #from = -1;
  #last = 0;

  /** when the first column begins, s; -1 before anything was added */
  get from(): number {
    return this.#from;
  }

  /** columns in use */
  get used(): number {
    return this.#from < 0 ? 0 : this.#last + 1;
  }

  /** @param time s; what lies before the first time counts for the first column */
  add(time: number, bytes: number): void {
    if (this.#from < 0) this.#from = time;
    let column = Math.max(0, Math.floor((time - this.#from) / this.width));
    while (column >= COLUMNS) {
      this.#halve();
      column = Math.floor((time - this.#from) / this.width);
    }
    this.columns[column]! += bytes;
    if (column > this.#last) this.#last = column;
  }

  /** One character per column; empty columns are blank. */
  sparkline(): string {
    const top = Math.max(...this.columns);
    let out = '';
    for (let i = 0; i < this.used; i++) {
      const value = this.columns[i]!;
      out += value === 0 ? ' ' : BARS[Math.min(BARS.length - 1, Math.floor((value / top) * BARS.length))]!;
    }
    return out;
  }

  #halve(): void {
    for (let i = 0; i < COLUMNS / 2; i++) this.columns[i] = this.columns[2 * i]! + this.columns[2 * i + 1]!;
    this.columns.fill(0, COLUMNS / 2);
    this.#last >>= 1;
    this.width *= 2;
  }
}
