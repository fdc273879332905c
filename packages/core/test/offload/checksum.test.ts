import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { finish, fold, swap16, sumRange, updateChecksum } from '../../src/offload/checksum.js';
import { giveSummableSlab, summableSlab } from '../../src/linux/offload/vectorsum.js';
import { Slab } from '../../src/slab/slab.js';
import { slowChecksum } from '../linux/offload/packets.js';

describe.each([
  ['JavaScript', Slab.plain(80_000)],
  ['vector instructions', summableSlab(80_000)],
])('the Internet checksum by %s', (how, slab) => {
  function checksum(offset: number, bytes: Uint8Array): number {
    slab.bytes.fill(0xff);
    slab.bytes.set(bytes, offset);
    return swap16(finish(sumRange(slab, offset, bytes.length)));
  }

  test('is computed so', () => {
    expect(slab.vectorSum !== null).toBe(how !== 'JavaScript');
  });

  test("RFC 1071's own example", () => {
    const bytes = Uint8Array.from([0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]);
    expect(checksum(0, bytes)).toBe(~0xddf2 & 0xffff);
  });

  test('equals the word-by-word twin at any offset and length', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 600, size: 'max' }), fc.nat(64), (bytes, offset) => {
        expect(checksum(offset, bytes)).toBe(slowChecksum(bytes));
      }),
      { numRuns: 500 },
    );
  });

  test('64 KiB of ones neither overflow nor lose a carry', () => {
    for (const length of [65_534, 65_535, 65_536]) {
      const bytes = new Uint8Array(length).fill(0xff);
      expect(checksum(1, bytes)).toBe(slowChecksum(bytes));
    }
    expect(fold(0xffff * 70_000)).toBe(0xffff);
  });

  test('an update in place equals a new sum', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 20, maxLength: 20 }), fc.nat(9), fc.nat(0xffff), (bytes, word, value) => {
        // All zero is the one header whose sum has two forms; an IP header never is.
        bytes[0] = 0x45;
        const at = word * 2;
        const before = finish(sumRange(write(bytes), 0, 20));
        const old = slab.view.getUint16(at, true);
        slab.view.setUint16(at, value, true);
        if (slab.bytes.subarray(0, 20).every((byte) => byte === 0)) return;
        expect(updateChecksum(before, old, value)).toBe(finish(sumRange(slab, 0, 20)));
      }),
      { numRuns: 300 },
    );
    function write(bytes: Uint8Array): Slab {
      slab.bytes.set(bytes, 0);
      return slab;
    }
  });
});

test('a slab that was given back is handed out again, wiped', () => {
  const slab = summableSlab(300_000);
  slab.bytes.fill(7);
  giveSummableSlab(slab);
  const next = summableSlab(300_000);
  expect(next).toBe(slab);
  expect(next.bytes.every((byte) => byte === 0)).toBe(true);
  expect(summableSlab(300_000)).not.toBe(slab);
});
