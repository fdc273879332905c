import fc from 'fast-check';

/** Bytes, ways to cut them, and ways to damage them. */

export function concat(parts: Iterable<Uint8Array>): Uint8Array {
  const list = [...parts];
  const out = new Uint8Array(list.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of list) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

/** `length` bytes that depend on the seed alone: the same for the same seed, and without structure. */
export function noise(length: number, seed: number): Uint8Array {
  const out = new Uint8Array(length);
  let x = Math.imul(seed + 1, 0x9e3779b1) ^ 0x5bd1e995 || 1;
  for (let i = 0; i < length; i++) {
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    out[i] = x >>> 11;
  }
  return out;
}

/** Any bytes, mostly few, often zeros. */
export function bytes(maxLength: number): fc.Arbitrary<Uint8Array> {
  return fc.oneof(
    { weight: 3, arbitrary: fc.uint8Array({ maxLength: Math.min(maxLength, 64) }) },
    {
      weight: 1,
      arbitrary: fc.tuple(fc.nat({ max: maxLength }), fc.nat()).map(([length, seed]) => noise(length, seed)),
    },
    { weight: 1, arbitrary: fc.nat({ max: maxLength }).map((length) => new Uint8Array(length)) },
  );
}

/** Lengths of the pieces that a stream arrives in, used over and over. */
export const chunkLengths: fc.Arbitrary<number[]> = fc.oneof(
  fc.constantFrom<number[]>([1], [1 << 20]),
  fc.array(fc.oneof(fc.integer({ min: 1, max: 12 }), fc.integer({ min: 1, max: 3000 })), {
    minLength: 1,
    maxLength: 8,
  }),
);

/** The pieces of `data`, in order. */
export function* chunks(data: Uint8Array, lengths: readonly number[]): Generator<Uint8Array> {
  let at = 0;
  for (let i = 0; at < data.length; i++) {
    const length = Math.max(1, lengths[i % lengths.length] ?? data.length);
    yield data.subarray(at, at + length);
    at += length;
  }
}

/** One thing that goes wrong with bytes; `at` is a fraction of their length. */
export interface Damage {
  readonly how: 'flip' | 'set' | 'insert' | 'delete' | 'repeat' | 'cut' | 'zero';
  readonly at: number;
  readonly length: number;
  readonly value: number;
}

export const damage: fc.Arbitrary<Damage> = fc.record({
  how: fc.constantFrom('flip', 'set', 'insert', 'delete', 'repeat', 'cut', 'zero'),
  at: fc.integer({ min: 0, max: 10_000 }).map((n) => n / 10_000),
  length: fc.oneof(fc.integer({ min: 1, max: 16 }), fc.integer({ min: 1, max: 600 })),
  value: fc.nat({ max: 255 }),
});

/** A damaged copy. */
export function damaged(data: Uint8Array, { how, at, length, value }: Damage): Uint8Array {
  const from = Math.min(data.length, Math.floor(at * data.length));
  const to = Math.min(data.length, from + length);
  switch (how) {
    case 'flip':
    case 'set':
    case 'zero': {
      const out = data.slice();
      if (how === 'zero') out.fill(0, from, to);
      else if (from < out.length) out[from] = how === 'set' ? value : out[from]! ^ (1 << (value & 7));
      return out;
    }
    case 'insert':
      return concat([data.subarray(0, from), noise(length, value), data.subarray(from)]);
    case 'delete':
      return concat([data.subarray(0, from), data.subarray(to)]);
    case 'repeat':
      return concat([data.subarray(0, to), data.subarray(from)]);
    case 'cut':
      return data.slice(0, from);
  }
}
