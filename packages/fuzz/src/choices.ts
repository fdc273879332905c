import fc from 'fast-check';

/**
 * A source of "random" numbers that gives out the bytes of a buffer, four at a time, and a fixed sequence once they are used up. Fed to an
 * arbitrary, the buffer becomes the list of its decisions.
 */
class Choices {
  #at: number;
  #state: number;

  constructor(
    private readonly bytes: Uint8Array,
    at = 0,
    state = 0x9e3779b9,
  ) {
    this.#at = at;
    this.#state = state;
  }

  clone(): Choices {
    return new Choices(this.bytes, this.#at, this.#state);
  }

  next(): number {
    const { bytes } = this;
    const at = this.#at;
    if (at + 4 <= bytes.length) {
      this.#at = at + 4;
      return bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24);
    }
    // A mixing step of MurmurHash3's finaliser, which visits small numbers as well as large ones.
    this.#state = (this.#state + 0x9e3779b9) | 0;
    let x = this.#state ^ (this.#state >>> 16);
    x = Math.imul(x, 0x85ebca6b);
    return Math.imul(x ^ (x >>> 13), 0xc2b2ae35) | 0;
  }

  getState(): readonly number[] {
    return [this.#at, this.#state];
  }
}

export function choicesOf(bytes: Uint8Array): fc.Random {
  return new fc.Random(new Choices(bytes));
}
