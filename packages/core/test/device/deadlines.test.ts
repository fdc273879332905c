import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { Deadlines, type Scheduled } from '../../src/device/deadlines.js';

test('the first is always the earliest, as a sorted list would have it', () => {
  const change = fc.record({ item: fc.nat(15), at: fc.oneof(fc.nat(50), fc.constant(Infinity)), remove: fc.boolean() });
  fc.assert(
    fc.property(fc.array(change, { maxLength: 80 }), (changes) => {
      const items: Scheduled[] = Array.from({ length: 16 }, () => ({ deadline: Infinity, heapIndex: -1 }));
      const heap = new Deadlines<Scheduled>();
      const twin = new Map<Scheduled, number>();
      for (const { item, at, remove } of changes) {
        const it = items[item]!;
        if (remove) heap.remove(it);
        else heap.set(it, at);
        if (remove || at === Infinity) twin.delete(it);
        else twin.set(it, at);
        expect(heap.size).toBe(twin.size);
        expect(heap.first?.deadline ?? Infinity).toBe(Math.min(Infinity, ...twin.values()));
      }
    }),
  );
});
