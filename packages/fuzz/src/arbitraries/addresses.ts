import fc from 'fast-check';
import type { Endpoint } from '@wirestream/core/address/endpoint';
import { formatIp, maskBits, type Prefix } from '@wirestream/core/address/ip';

/** Addresses that are often near each other, so that prefixes overlap and tables get collisions. */

const byte = fc.oneof(fc.constantFrom(0, 1, 10, 127, 128, 255), fc.nat({ max: 255 }));

export const ip4: fc.Arbitrary<Uint8Array> = fc
  .array(byte, { minLength: 4, maxLength: 4 })
  .map((b) => Uint8Array.from(b));
export const ip6: fc.Arbitrary<Uint8Array> = fc.oneof(
  fc.array(byte, { minLength: 16, maxLength: 16 }).map((b) => Uint8Array.from(b)),
  fc
    .array(byte, { minLength: 2, maxLength: 2 })
    .map(([a, b]) => Uint8Array.of(0xfd, ...new Array<number>(13).fill(0), a!, b!)),
);
export const ip: fc.Arbitrary<Uint8Array> = fc.oneof(ip4, ip6);

export const prefix: fc.Arbitrary<Prefix> = fc
  .tuple(ip, fc.oneof(fc.nat({ max: 128 }), fc.constantFrom(0, 8, 24, 31, 32, 33, 64, 127, 128)))
  .map(([bytes, n]) => {
    const length = Math.min(n, 8 * bytes.length);
    return { bytes: maskBits(bytes, length), length };
  });

export const port: fc.Arbitrary<number> = fc.oneof(
  fc.constantFrom(1, 51_820, 65_535),
  fc.integer({ min: 1, max: 65_535 }),
);

export const endpoint: fc.Arbitrary<Endpoint> = fc.tuple(ip, port, fc.nat({ max: 3 })).map(([bytes, p, scope]) => {
  const mapped = bytes.length === 16 && bytes.slice(0, 12).join() === '0,0,0,0,0,0,0,0,0,0,255,255';
  const plain = mapped ? bytes.slice(12) : bytes;
  const base = { family: plain.length === 4 ? (4 as const) : (6 as const), address: formatIp(plain), port: p };
  return plain.length === 16 && scope > 0 ? { ...base, scope } : base;
});
