import { describe, expect, test } from '@jest/globals';
import { segmentSize } from '../../src/capture/gso.js';
import { concat, noise } from './frames.js';

describe('datagrams that hold several messages', () => {
  const message = (length: number, counter: number, receiver = 7) => {
    const out = noise(length, counter + 1);
    out.set([4, 0, 0, 0, receiver, 0, 0, 0, counter, 0, 0, 0, 0, 0, 0, 0]);
    return out;
  };

  test('are told from single ones', () => {
    const cases: [Uint8Array, number][] = [
      [concat(message(1000, 1), message(1000, 2), message(1000, 3)), 1000],
      [concat(message(1000, 1), message(1000, 2), message(32, 3)), 1000],
      [concat(message(80, 1), ...Array.from({ length: 30 }, (_, i) => message(80, i + 2))), 80],
      [message(3000, 1), 0],
      [concat(message(1000, 1), message(1000, 2, 8)), 0],
      [concat(message(1000, 1), message(1000, 1)), 0],
      [concat(message(1000, 1), message(1000, 2), noise(10)), 0],
      // Small ones as well: a few pings at once.
      [concat(message(128, 1), message(64, 2)), 128],
      [concat(message(32, 1), message(32, 2)), 32],
      [message(63, 1), 0],
      [message(32, 1), 0],
    ];
    for (const [bytes, size] of cases) expect(segmentSize(concat(noise(3), bytes), 3, bytes.length)).toBe(size);
  });
});
