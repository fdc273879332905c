import fc from 'fast-check';
import { makeMessage, message } from './messages.js';

/** Records as the kernel TCP module frames them (DESIGN 3), written here from the table, apart from the code under test. */

export interface RecordShape {
  readonly message: Uint8Array;
  /** identification and fragment field when the inner packet is an IPv4 fragment */
  readonly fragment: readonly [number, number] | null;
}

const u16 = fc.nat({ max: 0xffff });
const fragment = fc.option(fc.tuple(u16, u16), { freq: 3 });

export const record: fc.Arbitrary<RecordShape> = fc.oneof(
  { weight: 12, arbitrary: fc.record({ message, fragment }) },
  // As long as a record may be, or nearly.
  {
    weight: 1,
    arbitrary: fc.record({
      message: fc.integer({ min: 0, max: 40 }).map((n) => makeMessage(4, 65_531 - n, n)),
      fragment: fc.constant(null),
    }),
  },
);

export function writeRecord({ message: body, fragment: metadata }: RecordShape): Uint8Array {
  const header = metadata === null ? 8 : 12;
  const out = new Uint8Array(header + body.length);
  out.set(headerBytes(out.length, 0, metadata === null ? 0 : 1));
  if (metadata !== null) {
    out.set(
      metadata.flatMap((n) => [n >> 8, n & 255]),
      8,
    );
  }
  out.set(body, header);
  return out;
}

/** Eight bytes with a right checksum over whatever fields. */
export function headerBytes(length: number, type: number, flags: number): Uint8Array {
  const sum = slowChecksum(length, type, flags);
  return Uint8Array.of(length >>> 24, length >>> 16, length >>> 8, length, type, flags, sum >> 8, sum & 255);
}

/** The checksum one bit at a time. */
export function slowChecksum(length: number, type: number, flags: number): number {
  let c = Math.floor(length / 65_536) ^ (length % 65_536) ^ (flags * 256 + type);
  for (let i = 0; i < 5; i++) c = c >= 0x8000 ? (c - 0x8000) * 2 + 1 : c * 2;
  return c ^ 0xa5a5;
}
