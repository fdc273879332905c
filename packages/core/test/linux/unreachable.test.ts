import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { UNREACHABLE_MAX, writeUnreachable } from '../../src/linux/unreachable.js';
import { Slab } from '../../src/slab/slab.js';
import { hex, makePacket, slowChecksum } from './offload/packets.js';

function answer(packet: Uint8Array): Uint8Array | null {
  const src = Slab.plain(4096);
  const dst = Slab.plain(4096);
  dst.bytes.fill(0xee);
  src.bytes.set(packet, 5);
  const length = writeUnreachable(src, 5, packet.length, dst, 33);
  expect(length).toBeLessThanOrEqual(UNREACHABLE_MAX);
  expect(dst.bytes[33 + length]).toBe(0xee);
  return length === 0 ? null : dst.bytes.slice(33, 33 + length);
}

const shape = { tcp: false, source: 1, target: 2, sourcePort: 7, targetPort: 9 } as const;

describe('destination unreachable', () => {
  test('IPv4: from the address that was not reached, with the packet quoted and right checksums', () => {
    for (const size of [10, 2000]) {
      const packet = makePacket({ ...shape, version: 4, payload: new Uint8Array(size).fill(7) });
      const out = answer(packet)!;
      expect(out.length).toBe(Math.min(576, 28 + packet.length));
      expect((out[2]! << 8) | out[3]!).toBe(out.length);
      expect([out[0], out[8], out[9]]).toEqual([0x45, 64, 1]);
      expect([...out.slice(12, 20)]).toEqual([10, 0, 0, 2, 10, 0, 0, 1]);
      expect([...out.slice(20, 22)]).toEqual([3, 1]);
      expect(hex(out.slice(28))).toBe(hex(packet.slice(0, out.length - 28)));
      expect([slowChecksum(out.slice(0, 20)), slowChecksum(out.slice(20))]).toEqual([0, 0]);
    }
  });

  test('IPv6 likewise', () => {
    for (const size of [10, 2000]) {
      const packet = makePacket({ ...shape, version: 6, payload: new Uint8Array(size).fill(7) });
      const out = answer(packet)!;
      expect(out.length).toBe(Math.min(1280, 48 + packet.length));
      expect((out[4]! << 8) | out[5]!).toBe(out.length - 40);
      expect([out[0], out[6], out[7]]).toEqual([0x60, 58, 64]);
      expect(hex(out.slice(8, 24))).toBe(hex(packet.slice(24, 40)));
      expect(hex(out.slice(24, 40))).toBe(hex(packet.slice(8, 24)));
      expect([...out.slice(40, 42)]).toEqual([1, 3]);
      expect(hex(out.slice(48))).toBe(hex(packet.slice(0, out.length - 48)));
      const size6 = out.length - 40;
      const pseudo = [...out.slice(8, 40), 0, 0, size6 >> 8, size6 & 0xff, 0, 0, 0, 58];
      expect(slowChecksum(Uint8Array.from([...pseudo, ...out.slice(40)]))).toBe(0);
    }
  });

  test('never about errors, multicasts, broadcasts, later fragments or packets from nowhere', () => {
    const v4 = makePacket({ ...shape, version: 4, payload: new Uint8Array(20) });
    const v6 = makePacket({ ...shape, version: 6, payload: new Uint8Array(20) });
    const changed = (packet: Uint8Array, at: number, ...values: number[]): Uint8Array => {
      const copy = packet.slice();
      copy.set(values, at);
      return copy;
    };
    const silent = [
      changed(v4, 16, 224),
      changed(v4, 16, 255, 255, 255, 255),
      changed(v4, 12, 0, 0, 0, 0),
      changed(v4, 12, 127),
      changed(v4, 12, 240),
      changed(v4, 6, 0, 1),
      changed(changed(v4, 9, 1), 20, 3),
      changed(changed(v4, 9, 1), 20, 0),
      changed(changed(v4, 9, 1), 0, 0x4f),
      changed(v6, 24, 0xff),
      changed(v6, 8, 0xff),
      changed(v6, 8, ...new Array<number>(16).fill(0)),
      changed(changed(v6, 6, 58), 40, 1),
      changed(v6, 6, 58).slice(0, 40),
      v4.slice(0, 19),
      v6.slice(0, 39),
      changed(v4, 0, 0x55),
    ];
    for (const packet of silent) expect(answer(packet)).toBeNull();
    expect(answer(changed(changed(v4, 9, 1), 20, 8))).not.toBeNull();
    expect(answer(changed(v4, 6, 0x20, 0))).not.toBeNull();
    expect(answer(changed(changed(v6, 6, 58), 40, 128))).not.toBeNull();
  });

  test('survives random bytes', () => {
    fc.assert(
      fc.property(fc.constantFrom(0x45, 0x4f, 0x40, 0x60, 0x00), fc.uint8Array({ maxLength: 100 }), (first, bytes) => {
        if (bytes.length > 0) bytes[0] = first;
        answer(bytes);
      }),
    );
  });
});
