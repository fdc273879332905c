import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { ByteRing } from '../../../src/capture/live/ring.js';

const ring = (room: number) => new ByteRing(new SharedArrayBuffer(ByteRing.memoryFor(room)));

/** What a writer or reader may do. */
type Act =
  | { readonly what: 'put'; readonly bytes: number }
  | { readonly what: 'publish' }
  | { readonly what: 'rewind' }
  | { readonly what: 'take'; readonly most: number };

const acts: fc.Arbitrary<Act[]> = fc.array(
  fc.oneof(
    fc.record({ what: fc.constant('put' as const), bytes: fc.integer({ min: 0, max: 40 }) }),
    fc.record({ what: fc.constant('publish' as const) }),
    fc.record({ what: fc.constant('rewind' as const) }),
    fc.record({ what: fc.constant('take' as const), most: fc.integer({ min: 1, max: 70 }) }),
  ),
  { maxLength: 80 },
);

describe('the ring between a device and who watches it', () => {
  test('is a queue that holds as much as it has room for', () => {
    fc.assert(
      fc.property(acts, (list) => {
        const memory = new SharedArrayBuffer(ByteRing.memoryFor(64));
        const [writer, reader] = [new ByteRing(memory), new ByteRing(memory)];
        let [published, written]: [number[], number[]] = [[], []];
        let next = 0;
        let place = writer.position;
        let told = false;
        for (const act of list) {
          if (act.what === 'put') {
            if (act.bytes > writer.free) {
              expect(published.length + written.length + act.bytes).toBeGreaterThan(64);
              continue;
            }
            const bytes = Uint8Array.from({ length: act.bytes }, () => next++ & 0xff);
            writer.put(Uint8Array.of(9, ...bytes), 1, act.bytes);
            written.push(...bytes);
          } else if (act.what === 'publish') {
            const tell = writer.publish();
            // Told once, until everything has been taken.
            expect(tell).toBe(written.length > 0 && !told);
            told ||= tell;
            published = [...published, ...written];
            written = [];
            place = writer.position;
          } else if (act.what === 'rewind') {
            writer.rewind(place);
            written = [];
          } else {
            const bytes = reader.take(act.most);
            expect([...(bytes ?? [])]).toEqual(published.splice(0, act.most));
            if (bytes === null) told = false;
            else told = true;
          }
        }
      }),
      { numRuns: 300 },
    );
  });

  test('can be changed until it is published, also across the end of the room', () => {
    const both = ring(64);
    both.put(new Uint8Array(62), 0, 62);
    both.publish();
    both.take(62);
    const at = both.position;
    both.put(new Uint8Array(8), 0, 8);
    both.patch(at, 0x04030201);
    both.publish();
    expect([...both.take(8)!]).toEqual([1, 2, 3, 4, 0, 0, 0, 0]);
  });

  test('counts on behind 4 GiB', () => {
    const both = ring(64);
    const control = new Int32Array(both.memory as SharedArrayBuffer, 0, 2);
    control.fill(-8);
    const late = new ByteRing(both.memory);
    late.put(
      Uint8Array.from({ length: 20 }, (_, i) => i),
      0,
      20,
    );
    expect(late.publish()).toBe(true);
    expect(late.free).toBe(44);
    expect([...late.take(100)!]).toEqual(Array.from({ length: 20 }, (_, i) => i));
    expect(late.take(1)).toBeNull();
    expect(late.free).toBe(64);
  });
});
