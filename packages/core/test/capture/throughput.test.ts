import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { Throughput } from '../../src/capture/throughput.js';

describe('throughput', () => {
  test('no byte is lost, whatever the time, and columns are where the slow twin puts them', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.double({ min: 0, max: 5000, noNaN: true }), fc.nat(1000)), {
          minLength: 1,
          maxLength: 60,
        }),
        (list) => {
          const throughput = new Throughput();
          for (const [time, size] of list) throughput.add(1000 + time, size);
          const from = 1000 + list[0]![0];
          const expected = new Array<number>(throughput.columns.length).fill(0);
          for (const [time, size] of list) {
            expected[Math.max(0, Math.floor((1000 + time - from) / throughput.width))]! += size;
          }
          expect([...throughput.columns]).toEqual(expected);
          const last = Math.max(...list.map(([time]) => 1000 + time - from), 0);
          expect(throughput.used).toBe(Math.floor(last / throughput.width) + 1);
        },
      ),
    );
  });

  test('as a sparkline', () => {
    const throughput = new Throughput();
    throughput.add(0, 100);
    throughput.add(0.0625 * 2, 800);
    throughput.add(0.0625 * 3, 400);
    expect(throughput.sparkline()).toBe('▂ █▅');
    expect(new Throughput().sparkline()).toBe('');
  });
});
