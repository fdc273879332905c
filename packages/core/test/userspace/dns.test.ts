import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { readAnswer, writeQuery } from '../../src/userspace/dns.js';

/** An answer to a query, its records given as type and data; names are pointers to the question's. */
function answer(query: Uint8Array, flags: number, records: [number, number[]][]): Uint8Array {
  const bytes = [...query];
  bytes[2] = flags >> 8;
  bytes[3] = flags & 255;
  bytes[7] = records.length;
  for (const [type, data] of records) bytes.push(0xc0, 12, 0, type, 0, 1, 0, 0, 0, 60, 0, data.length, ...data);
  return Uint8Array.from(bytes);
}

const A = 1;
const CNAME = 5;
const AAAA = 28;
const V6 = [0xfd, ...new Array<number>(14).fill(0), 1];

describe('DNS', () => {
  const query = writeQuery(0x1234, 'www.example.', 4)!;

  test('a query is what RFC 1035 says', () => {
    expect([...query]).toEqual([
      0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 3, 119, 119, 119, 7, 101, 120, 97, 109, 112, 108, 101, 0, 0, 1, 0, 1,
    ]);
    expect(writeQuery(1, 'a..b', 4)).toBeNull();
    expect(writeQuery(1, '', 4)).toBeNull();
    expect(writeQuery(1, 'a b', 4)).toBeNull();
    expect(writeQuery(1, 'x'.repeat(64), 4)).toBeNull();
    expect(writeQuery(1, 'x.'.repeat(200), 4)).toBeNull();
  });

  test('addresses of the family asked for are read, behind aliases too', () => {
    const got = readAnswer(
      answer(query, 0x8180, [
        [CNAME, [1, 97, 0xc0, 12]],
        [A, [192, 0, 2, 1]],
        [AAAA, V6],
        [A, [192, 0, 2, 2]],
      ]),
      query,
    );
    expect(got).toEqual({
      addresses: [Uint8Array.of(192, 0, 2, 1), Uint8Array.of(192, 0, 2, 2)],
      isTruncated: false,
      isUnknown: false,
      isFailure: false,
    });
    const query6 = writeQuery(1, 'www.example', 6)!;
    expect(readAnswer(answer(query6, 0x8180, [[AAAA, V6]]), query6)?.addresses).toEqual([Uint8Array.from(V6)]);
  });

  test('what else an answer can say', () => {
    expect(readAnswer(answer(query, 0x8380, []), query)).toMatchObject({ isTruncated: true });
    expect(readAnswer(answer(query, 0x8183, []), query)).toMatchObject({ isUnknown: true, isFailure: false });
    expect(readAnswer(answer(query, 0x8182, []), query)).toMatchObject({ isFailure: true });
  });

  test('answers to something else, and queries, are not answers', () => {
    const good = answer(query, 0x8180, [[A, [192, 0, 2, 1]]]);
    const other = writeQuery(0x1234, 'www.exampla', 4)!;
    expect(readAnswer(good, other)).toBeNull();
    expect(readAnswer(good, writeQuery(0x1235, 'www.example', 4)!)).toBeNull();
    expect(readAnswer(query, query)).toBeNull();
    expect(
      readAnswer(
        good.map((byte, i) => (i === 13 ? byte ^ 0x20 : byte)),
        query,
      )?.addresses,
    ).toHaveLength(1);
  });

  test('damaged answers do no harm', () => {
    const good = answer(query, 0x8180, [
      [CNAME, [1, 97, 0xc0, 12]],
      [A, [192, 0, 2, 1]],
    ]);
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(good.length - 1), fc.nat(255)), { maxLength: 5 }),
        fc.nat(good.length),
        (changes, length) => {
          const bytes = good.slice(0, length);
          for (const [at, value] of changes) if (at < length) bytes[at] = value;
          const got = readAnswer(bytes, query);
          for (const address of got?.addresses ?? []) expect(address).toHaveLength(4);
        },
      ),
    );
  });
});
