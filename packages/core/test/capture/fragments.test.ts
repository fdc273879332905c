import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { FragmentStore } from '../../src/capture/fragments.js';
import { IpView } from '../../src/capture/ipview.js';
import { ENDS, concat, ip, noise, type Ends } from './frames.js';

const V6: Ends = { source: '2001:db8::1', destination: '2001:db8::2', sourcePort: 1, destinationPort: 2 };

interface Fragment {
  /** in units of 8 bytes */
  readonly at: number;
  readonly data: Uint8Array;
  readonly more: boolean;
}

function packetOf(fragment: Fragment, identification = 7, ends = ENDS): Uint8Array {
  const { at, data, more } = fragment;
  if (ends === ENDS) return ip(ends, 17, data, { identification, fragment: (more ? 0x2000 : 0) | at });
  const field = (at << 3) | (more ? 1 : 0);
  return ip(
    ends,
    44,
    concat(Uint8Array.of(17, 0, field >>> 8, field, 0, 0, identification >>> 8, identification), data),
  );
}

function add(store: FragmentStore, packet: Uint8Array, now = 0): Uint8Array | null {
  const view = new IpView();
  if (!view.parse(packet, 0, packet.length) || !view.isFragment) throw new Error('no fragment');
  return store.add(view, packet, now);
}

/** The slow twin: one slot for each byte, the first to come stays; complete when all up to the end are there. */
class Slots {
  readonly #slots = new Map<number, number>();
  #total = -1;

  add(fragment: Fragment): Uint8Array | null {
    const { at, data, more } = fragment;
    if (data.length === 0 || (more && data.length % 8 !== 0)) return null;
    if (!more && this.#total < 0) this.#total = 8 * at + data.length;
    data.forEach((byte, i) => this.#slots.has(8 * at + i) || this.#slots.set(8 * at + i, byte));
    if (this.#total < 0) return null;
    const out = new Uint8Array(this.#total);
    for (let i = 0; i < this.#total; i++) {
      const byte = this.#slots.get(i);
      if (byte === undefined) return null;
      out[i] = byte;
    }
    return out;
  }
}

describe('fragments', () => {
  test.each([
    ['IPv4', ENDS],
    ['IPv6', V6],
  ])(
    'of a datagram in any order, overlapping, repeated, are put together as the slow twin does (%s)',
    (_name, ends) => {
      const fragment = fc.record({
        at: fc.nat(8),
        data: fc.oneof(
          fc.integer({ min: 1, max: 4 }).chain((n) => fc.uint8Array({ minLength: 8 * n, maxLength: 8 * n })),
          fc.uint8Array({ minLength: 1, maxLength: 20 }),
        ),
        more: fc.boolean(),
      });
      fc.assert(
        fc.property(fc.array(fragment, { maxLength: 14 }), (fragments) => {
          const store = new FragmentStore();
          const slots = new Slots();
          for (const one of fragments) {
            if (!one.more && one.at === 0) continue;
            const expected = slots.add(one);
            expect(add(store, packetOf(one, 7, ends))).toEqual(expected);
            if (expected !== null) return;
          }
        }),
        { numRuns: 400 },
      );
    },
  );

  test('datagrams are told apart', () => {
    const store = new FragmentStore();
    const first = (seed: number) => ({ at: 0, data: noise(8, seed), more: true });
    const last = (seed: number) => ({ at: 1, data: noise(3, seed), more: false });
    expect(add(store, packetOf(first(1), 1))).toBeNull();
    expect(add(store, packetOf(first(2), 2))).toBeNull();
    expect(add(store, packetOf(last(3), 2))).toEqual(concat(noise(8, 2), noise(3, 3)));
    expect(add(store, packetOf(last(4), 1))).toEqual(concat(noise(8, 1), noise(3, 4)));
    expect(store.waiting).toBe(0);
    expect(store.lost).toBe(0);
  });

  test('memory is bounded: what cannot be completed gives way', () => {
    const store = new FragmentStore();
    for (let id = 0; id < 1000; id++) add(store, packetOf({ at: 0, data: noise(8), more: true }, id));
    expect(store.waiting).toBeLessThanOrEqual(128);
    expect(store.lost).toBe(1000 - store.waiting);
    store.end();
    expect([store.waiting, store.lost]).toEqual([0, 1000]);
  });

  test('a datagram is given up after a minute', () => {
    const store = new FragmentStore();
    add(store, packetOf({ at: 0, data: noise(8), more: true }), 100);
    expect(add(store, packetOf({ at: 1, data: noise(8), more: false }), 161)).toBeNull();
    expect(store.lost).toBe(1);
  });

  test('thousands of scattered fragments of one datagram are given up', () => {
    const store = new FragmentStore();
    for (let at = 0; at < 8000; at += 2) add(store, packetOf({ at, data: noise(8), more: true }));
    expect(store.lost).toBeGreaterThan(0);
  });

  test('a fragment that the capture cut, or that reaches past the end of any datagram, is not used', () => {
    const store = new FragmentStore();
    const packet = packetOf({ at: 0, data: noise(16), more: true });
    expect(add(store, packet.slice(0, -4))).toBeNull();
    expect(add(store, packetOf({ at: 0x1fff, data: noise(24), more: false }))).toBeNull();
    expect(store.waiting).toBe(0);
  });
});
