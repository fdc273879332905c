import fc from 'fast-check';

/**
 * A source of "random" numbers that gives out the bytes of a buffer, four at a time, and a sequence made of `seed` once they are used up. Fed to
 * an arbitrary, the buffer becomes the list of its decisions. It remembers what it gave out, so that an input made at random has a buffer, too.
 */
class Choices {
  constructor(
    private readonly bytes: Uint8Array,
    private readonly log: number[],
    private state: number,
    private at = 0,
  ) {}

  clone(): Choices {
    return new Choices(this.bytes, this.log, this.state, this.at);
  }

  next(): number {
    const { bytes, at } = this;
    let value: number;
    if (at + 4 <= bytes.length) {
      this.at = at + 4;
      value = bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24);
    } else {
      // The finalising steps of MurmurHash3 over a counter.
      this.state = (this.state + 0x9e3779b9) | 0;
      let x = this.state ^ (this.state >>> 16);
      x = Math.imul(x, 0x85ebca6b);
      x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35);
      value = x ^ (x >>> 16);
    }
    this.log.push(value);
    return value;
  }

  unsafeNext(): number {
    return this.next();
  }

  getState(): readonly number[] {
    return [this.at, this.state];
  }
}

/** How often arbitraries prefer values at their edges: about once in so many. */
const BIAS = 5;
/** Decisions that are remembered. */
const LOG_MAX = 4096;

/** What an arbitrary makes of a buffer of decisions, and the decisions that it took. */
export function generate<T>(
  arbitrary: fc.Arbitrary<T>,
  bytes: Uint8Array,
  seed = 0,
): { value: fc.Value<T>; choices: Uint8Array } {
  const log: number[] = [];
  const source = new Choices(bytes, log, seed);
  const value = arbitrary.generate(new fc.Random(source), BIAS);
  return { value, choices: new Uint8Array(Int32Array.from(log.slice(0, LOG_MAX)).buffer) };
}
