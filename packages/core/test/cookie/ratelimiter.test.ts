import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { sourceKey } from '../../src/address/endpoint.js';
import { RateLimiter } from '../../src/cookie/ratelimiter.js';

const v4 = (n: number) => sourceKey({ family: 4, address: `10.0.${n >> 8}.${n & 255}`, port: 1 });
const v6 = (net: number, host: number) =>
  sourceKey({ family: 6, address: `2001:db8:0:${net.toString(16)}::${host.toString(16)}`, port: host });

// The kernel's selftest/ratelimiter.c: five at once, then what 50 ms of waiting are worth.
const EXPECTED: [allowed: boolean, sleepBefore: number][] = [
  [true, 0],
  [true, 0],
  [true, 0],
  [true, 0],
  [true, 0],
  [false, 0],
  [true, 50],
  [false, 0],
  [true, 100],
  [true, 0],
  [false, 0],
];

describe('as the kernel checks it', () => {
  test('the sequence of one source, with neighbours unaffected', () => {
    const limiter = new RateLimiter();
    let now = 5000;
    EXPECTED.forEach(([allowed, sleep], i) => {
      now += sleep;
      expect([i, limiter.allow(v4(8), now)]).toEqual([i, allowed]);
      expect(limiter.allow(v4(9 + i), now)).toBe(true);
      // every address of one /64 is one source, another /64 is another
      expect([i, limiter.allow(v6(1, i), now)]).toEqual([i, allowed]);
      expect(limiter.allow(v6(2 + i, 0), now)).toBe(true);
    });
  });

  test('a full table refuses new sources, and forgets silent ones after a second', () => {
    const limiter = new RateLimiter(100);
    for (let i = 0; i < 100; i++) expect(limiter.allow(v4(i), 1000)).toBe(true);
    expect(limiter.allow(v4(100), 1000)).toBe(false);
    expect(limiter.allow(v4(3), 1500)).toBe(true);
    expect(limiter.size).toBe(100);
    expect(limiter.allow(v4(100), 2000)).toBe(false);
    expect(limiter.allow(v4(100), 3000)).toBe(true);
    expect(limiter.size).toBe(1);
  });
});

test('the table is bounded by default', () => {
  const limiter = new RateLimiter();
  for (let i = 0; i < 70_000; i++) limiter.allow(`${i}`, 0);
  expect(limiter.size).toBe(65_536);
});

test('over any time a source gets at most 5 and then 20 a second, forgotten or not', () => {
  fc.assert(
    fc.property(fc.array(fc.double({ min: 0, max: 300, noNaN: true }), { maxLength: 200 }), (waits) => {
      const limiter = new RateLimiter();
      let now = 0;
      let allowed = 0;
      for (const wait of waits) {
        now += wait;
        if (limiter.allow('it', now)) allowed++;
      }
      expect(allowed).toBeLessThanOrEqual(5 + now / 50 + 1e-6);
    }),
  );
});
