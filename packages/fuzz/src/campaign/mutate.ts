import { concat } from '../arbitraries/bytes.js';

/** Numbers from a seed (xorshift32), so that a campaign can be run again. */
export class Rng {
  #x: number;

  constructor(seed: number) {
    this.#x = Math.imul(seed ^ 0x2545f491, 0x9e3779b1) || 1;
    for (let i = 0; i < 4; i++) this.uint32();
  }

  uint32(): number {
    let x = this.#x;
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    this.#x = x;
    return x >>> 0;
  }

  below(n: number): number {
    return n <= 0 ? 0 : this.uint32() % n;
  }

  pick<T>(list: readonly T[]): T {
    return list[this.below(list.length)]!;
  }
}

const EDGES = [
  0, 1, 2, 4, 7, 8, 15, 16, 31, 32, 63, 64, 127, 128, 255, 256, 1023, 0x7fff, 0x8000, 0xffff, 0x10000, 0x7fffffff,
  0x80000000, 0xffffffff,
];

/** A changed copy: one to four small changes of an input, or a piece of another put into it. `grain` is 4 for decisions, 1 for bytes. */
export function mutate(rng: Rng, input: Uint8Array, other: Uint8Array, grain: 1 | 4, most: number): Uint8Array {
  let out: Uint8Array = input.slice();
  for (let n = 1 + rng.below(4); n > 0; n--) out = change(rng, out, other, grain);
  return out.length > most ? out.slice(0, most) : out;
}

function change(rng: Rng, input: Uint8Array, other: Uint8Array, grain: number): Uint8Array {
  const place = (length: number) => grain * rng.below(Math.floor(length / grain) + 1);
  const at = place(Math.max(0, input.length - grain));
  const size = Math.min(input.length - at, grain * (1 + rng.below(rng.below(4) === 0 ? 64 : 8)));
  switch (rng.below(8)) {
    case 0: {
      const out = input.slice();
      if (out.length > 0) out[at + rng.below(Math.min(grain, out.length - at))]! ^= 1 << rng.below(8);
      return out;
    }
    case 1:
    case 2: {
      const out = input.slice();
      const width = grain === 4 ? 4 : rng.pick([1, 1, 2, 4]);
      const value = rng.below(3) === 0 ? rng.uint32() : rng.pick(EDGES);
      const little = rng.below(2) === 0;
      for (let i = 0; i < width && at + i < out.length; i++)
        out[at + i] = value >>> (8 * (little || grain === 4 ? i : width - 1 - i));
      return out;
    }
    case 3:
      return concat([input.subarray(0, at), input.subarray(at + size)]);
    case 4: {
      const fresh = Uint8Array.from({ length: size || grain }, () => rng.uint32());
      return concat([input.subarray(0, at), fresh, input.subarray(at)]);
    }
    case 5:
      return concat([input.subarray(0, at + size), input.subarray(at)]);
    case 6: {
      const from = place(Math.max(0, other.length - grain));
      const piece = other.subarray(from, from + size);
      return concat([input.subarray(0, at), piece, input.subarray(rng.below(2) === 0 ? at : at + piece.length)]);
    }
    default: {
      const out = input.slice();
      const delta = rng.below(17) - 8;
      if (out.length > 0) out[at] = out[at]! + delta;
      return out;
    }
  }
}
