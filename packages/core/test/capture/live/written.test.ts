import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { WrittenRecords } from '../../../src/capture/live/written.js';
import { writeFragmentHeader, writeHeader } from '../../../src/stream/header.js';

function record(length: number, fragment: boolean, fill: number): Uint8Array {
  const header = fragment ? 12 : 8;
  const out = new Uint8Array(header + length).fill(fill);
  if (fragment) writeFragmentHeader(out, 0, length, fill, 0x2000);
  else writeHeader(out, 0, length);
  return out;
}

const records = fc.array(fc.tuple(fc.integer({ min: 32, max: 3000 }), fc.boolean(), fc.integer({ min: 1, max: 250 })), {
  minLength: 1,
  maxLength: 12,
});

describe('what was written to a connection', () => {
  test('is cut into the records that it consists of, wherever the writes end', () => {
    fc.assert(
      fc.property(
        records,
        fc.array(fc.integer({ min: 1, max: 2500 }), { minLength: 1 }),
        fc.nat(),
        (list, cuts, at) => {
          const parts = list.map(([length, fragment, fill]) => record(length, fragment, fill));
          const stream = Buffer.concat(parts);
          // The beginning may have been written before anybody looked.
          const unseen = at % parts[0]!.length;
          const seen: string[] = [];
          const written = new WrittenRecords(
            (bytes, offset, header, length) => {
              seen.push(`${header} ${Buffer.from(bytes.subarray(offset, offset + length)).toString('hex')}`);
            },
            unseen === 0 ? 0 : parts[0]!.length - unseen,
          );
          let i = 0;
          for (let from = unseen; from < stream.length;) {
            const n = Math.min(cuts[i++ % cuts.length]!, stream.length - from);
            // Each write from elsewhere, and not kept.
            const slab = new Uint8Array(n + 7).fill(0xee);
            slab.set(stream.subarray(from, from + n), 5);
            written.push(slab, 5, n);
            from += n;
          }
          const expected = parts.map((part, j) => `${list[j]![1] ? 12 : 8} ${Buffer.from(part).toString('hex')}`);
          expect(seen).toEqual(unseen === 0 ? expected : expected.slice(1));
        },
      ),
      { numRuns: 200 },
    );
  });

  test('says nothing more when it is not what we write', () => {
    const seen: number[] = [];
    const written = new WrittenRecords((_bytes, _offset, _header, length) => seen.push(length), 0);
    written.push(new Uint8Array(100).fill(0x41), 0, 100);
    written.push(record(64, false, 3), 0, 72);
    expect(seen).toEqual([]);
  });
});
