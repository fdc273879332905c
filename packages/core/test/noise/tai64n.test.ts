import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { TAI64N_GRAIN, TimestampSource, compareTai64n, tai64n, tai64nToWallTime } from '../../src/noise/tai64n.js';
import { toHex } from './providers.js';

test('as the kernel wrote it in a capture', () => {
  // fixtures/kernel/udp-rekey.json: the first packet was seen at this time
  expect(toHex(tai64n(1795248815_378.87))).toBe('400000006b0152b916000000');
});

test('the epoch, its second, and a time past 2^32 seconds', () => {
  expect(toHex(tai64n(0))).toBe('400000000000000a00000000');
  expect(toHex(tai64n(999.999999))).toBe('400000000000000a3b000000');
  expect(toHex(tai64n((2 ** 32 - 10) * 1000))).toBe('400000010000000000000000');
});

test('it is the time rounded down to a grain', () => {
  fc.assert(
    fc.property(fc.double({ min: 0, max: 4e12, noNaN: true }), (wall) => {
      const stamp = tai64n(wall);
      expect(new DataView(stamp.buffer).getUint32(8) % TAI64N_GRAIN).toBe(0);
      const back = tai64nToWallTime(stamp);
      expect(back).toBeLessThanOrEqual(wall + 0.001);
      expect(wall - back).toBeLessThan(TAI64N_GRAIN / 1e6 + 0.001);
    }),
  );
});

describe('the source of timestamps', () => {
  test('never gives one that is not newer, whatever the clock does', () => {
    fc.assert(
      fc.property(fc.array(fc.double({ min: 1e12, max: 1e12 + 2000, noNaN: true }), { maxLength: 50 }), (walls) => {
        const source = new TimestampSource();
        let last: Uint8Array = new Uint8Array(12);
        for (const wall of walls) {
          const stamp = source.next(wall);
          expect(compareTai64n(stamp, last)).toBeGreaterThan(0);
          expect(compareTai64n(stamp, tai64n(wall))).toBeGreaterThanOrEqual(0);
          expect(new DataView(stamp.buffer).getUint32(8)).toBeLessThan(1_000_000_000);
          last = stamp;
        }
      }),
    );
  });

  test('20 ms apart, the clock alone is enough', () => {
    const source = new TimestampSource();
    for (let i = 0; i < 500; i++) {
      const wall = 1_700_000_000_000 + i * 20;
      expect(source.next(wall)).toEqual(tai64n(wall));
    }
  });

  test('carries into the seconds, and past 2^32 of them', () => {
    const source = new TimestampSource();
    const wall = (2 ** 32 - 10) * 1000 - 1;
    expect(toHex(source.next(wall))).toBe('40000000ffffffff3b000000');
    expect(toHex(source.next(wall))).toBe('400000010000000000000000');
    expect(toHex(source.next(wall))).toBe('400000010000000001000000');
  });
});
