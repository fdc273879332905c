import fc from 'fast-check';
import { noise } from './bytes.js';

/** WireGuard messages by their outside: what anybody sees who has no keys (WireGuard paper §5.4). */

/** Lengths of initiation, response and cookie reply. */
export const FIXED_LENGTHS = { 1: 148, 2: 92, 3: 64 } as const;

const data = fc.oneof(
  { weight: 3, arbitrary: fc.integer({ min: 0, max: 90 }).map((n) => 32 + 16 * n) },
  { weight: 1, arbitrary: fc.integer({ min: 32, max: 1500 }) },
);

/** Right type, zeros and length; the rest is noise. */
export const message: fc.Arbitrary<Uint8Array> = fc
  .tuple(fc.constantFrom(1, 2, 3, 4, 4, 4, 4), data, fc.nat())
  .map(([type, length, seed]) => makeMessage(type, type === 4 ? length : FIXED_LENGTHS[type as 1 | 2 | 3], seed));

/** One thing is wrong with it: type, a reserved byte, or the length. */
export const nearlyMessage: fc.Arbitrary<Uint8Array> = fc
  .tuple(message, fc.constantFrom('type', 'reserved', 'short', 'long', 'tiny'), fc.nat({ max: 255 }))
  .map(([whole, what, n]) => {
    const out = whole.slice();
    switch (what) {
      case 'type':
        out[0] = n >= 1 && n <= 4 ? n + 4 : n;
        return out;
      case 'reserved':
        out[1 + (n % 3)] = 1 + (n >> 2);
        return out;
      case 'short':
        return out.slice(0, out.length - 1 - (n % 16));
      case 'long': {
        const longer = new Uint8Array(out.length + 1 + (n % 15));
        longer.set(out);
        return longer;
      }
      case 'tiny':
        return out.slice(0, n % 32);
    }
  });

export function makeMessage(type: number, length: number, seed: number): Uint8Array {
  const out = noise(length, seed);
  out.set([type, 0, 0, 0]);
  return out;
}
