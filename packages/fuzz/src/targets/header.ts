import fc from 'fast-check';
import {
  headerLength,
  recordChecksum,
  recordLengthAt,
  writeFragmentHeader,
  writeHeader,
} from '@wirestream/core/stream/header';
import { findHeader, judgeMessage } from '@wirestream/core/stream/resync';
import { bytes, concat } from '../arbitraries/bytes.js';
import { headerBytes, record, slowChecksum, writeRecord, type RecordShape } from '../arbitraries/records.js';
import { buildStream, damagedStream } from '../arbitraries/streams.js';
import { kernelLength } from '../kernelreader.js';
import { mustEqual, target } from '../target.js';

interface Fields {
  readonly length: number;
  readonly type: number;
  readonly flags: number;
  /** xored to the checksum */
  readonly wrong: number;
}

const lengths = fc.oneof(
  fc.nat({ max: 100 }),
  fc.integer({ min: 65_530, max: 65_550 }),
  fc.constantFrom(39, 40, 43, 44, 65_543, 65_544, 0x1_0000, 0x1_ffff, 0x100_0028, 0xffff_ffff),
  fc.nat({ max: 0xffff_ffff }),
);

export const headerFields = target<Fields>({
  name: 'header-fields',
  says: 'a header is valid exactly when the table says so, field by field',
  runs: 400,
  arbitrary: fc.record({
    length: lengths,
    type: fc.constantFrom(0, 0, 0, 0, 1, 4, 255),
    flags: fc.constantFrom(0, 0, 1, 1, 2, 3, 128, 255),
    wrong: fc.oneof({ weight: 4, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: fc.nat({ max: 0xffff }) }),
  }),
  check({ length, type, flags, wrong }) {
    mustEqual(recordChecksum(length, type, flags), slowChecksum(length, type, flags), 'checksum');
    const header = headerBytes(length, type, flags);
    header[6]! ^= wrong >> 8;
    header[7]! ^= wrong & 255;
    const valid = wrong === 0 && type === 0 && flags <= 1 && length >= 40 + 4 * flags && length <= 65_543;
    mustEqual(recordLengthAt(concat([new Uint8Array(3), header]), 3), valid ? length : 0, 'length');
    mustEqual(kernelLength(header, 0), valid ? length : null, 'length by the model');
  },
});

export const headerWriting = target<RecordShape>({
  name: 'header-writing',
  says: 'what is written is what the table says, and is read back',
  runs: 200,
  arbitrary: record,
  check({ message, fragment }) {
    const expected = writeRecord({ message, fragment });
    const out = new Uint8Array(expected.length);
    if (fragment === null) writeHeader(out, 0, message.length);
    else writeFragmentHeader(out, 0, message.length, fragment[0], fragment[1]);
    const header = headerLength(out[5]!);
    mustEqual(header, expected.length - message.length, 'header length');
    mustEqual(out.subarray(0, header), expected.subarray(0, header), 'header');
    mustEqual(recordLengthAt(out, 0), expected.length, 'length');
  },
});

interface Haystack {
  readonly bytes: Uint8Array;
  readonly from: number;
}

export const resync = target<Haystack>({
  name: 'resync',
  says: 'the search finds the header that looking at every offset finds, and judges what is behind it as the paper does',
  runs: 300,
  arbitrary: fc
    .tuple(
      fc.oneof(
        bytes(400),
        damagedStream.map((parts) => buildStream(parts).bytes.slice(0, 4000)),
      ),
      fc.nat({ max: 60 }),
    )
    .map(([haystack, from]) => ({ bytes: haystack, from })),
  fromBytes: (haystack) => ({ bytes: haystack, from: 0 }),
  check({ bytes: haystack, from }) {
    let first = -1;
    const padded = concat([haystack, new Uint8Array(8)]);
    for (let at = from; at + 8 <= haystack.length; at++) {
      if (kernelLength(haystack, at) === null) {
        mustEqual(judgeMessage(padded, at, haystack.length), 'noise', 'judgement of no header');
        continue;
      }
      if (first < 0) first = at;
      mustEqual(judgeMessage(haystack, at, haystack.length), judge(haystack, at), 'judgement');
    }
    mustEqual(findHeader(haystack, from, haystack.length), first, 'first header');
  },
});

/** By the sizes of the paper §5.4. */
function judge(stream: Uint8Array, at: number): string {
  const header = stream[at + 5] === 1 ? 12 : 8;
  const length = kernelLength(stream, at)! - header;
  if (at + header + 4 > stream.length) return 'more bytes needed';
  const [type, a, b, c] = stream.subarray(at + header, at + header + 4);
  const zeros = a === 0 && b === 0 && c === 0;
  const fits =
    (type === 1 && length === 148) || (type === 2 && length === 92) || (type === 3 && length === 64) || type === 4;
  return zeros && fits ? 'message' : 'noise';
}
