import { describe, expect, test } from '@jest/globals';
import { bitsPerSecond, bytes, count, seconds } from '../../src/capture/words.js';

describe('numbers for people', () => {
  test.each([
    [bytes(0), '0 B'],
    [bytes(999), '999 B'],
    [bytes(1000), '1.00 kB'],
    [bytes(654_321), '654 kB'],
    [bytes(12_345_678), '12.3 MB'],
    [bytes(999_600), '1.00 MB'],
    [bitsPerSecond(3_310_000_000), '3.31 Gbit/s'],
    [seconds(0.0000095), '10 µs'],
    [seconds(0.00681), '6.81 ms'],
    [seconds(12.419), '12.4 s'],
    [seconds(144.06), '144 s'],
    [count(1, 'record'), '1 record'],
    [count(0, 'reply'), '0 replies'],
    [count(2, 'key'), '2 keys'],
  ])('%s', (said, expected) => {
    expect(said).toBe(expected);
  });
});
