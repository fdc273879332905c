import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { Segmenter, SPILL } from '../../src/offload/segment.js';
import { VIRTIO_HEADER } from '../../src/offload/virtio.js';
import { Slab } from '../../src/slab/slab.js';
import {
  hex,
  makePacket,
  makePartial,
  makeSuper,
  PLAIN,
  slabOf,
  slowSegment,
  virtioBytes,
  type PacketShape,
  type Virtio,
} from '../linux/offload/packets.js';

/** All packets that the segmenter makes; `spoil` overwrites what it says may be overwritten behind each. */
function segments(virtio: Virtio, packet: Uint8Array, offset = 2, spoil = true): string[] {
  const { slab, length } = slabOf(offset, virtioBytes(virtio), packet);
  const segmenter = new Segmenter();
  const out: string[] = [];
  if (!segmenter.begin(slab, offset, length)) return out;
  while (segmenter.next()) {
    out.push(hex(slab.bytes.subarray(segmenter.offset, segmenter.offset + segmenter.length)));
    if (spoil) slab.bytes.fill(0x5a, segmenter.offset + segmenter.length, segmenter.offset + segmenter.length + SPILL);
  }
  expect(segmenter.next()).toBe(false);
  return out;
}

const shape: fc.Arbitrary<PacketShape> = fc.record({
  version: fc.constantFrom(4 as const, 6 as const),
  tcp: fc.boolean(),
  source: fc.nat(255),
  target: fc.nat(255),
  sourcePort: fc.nat(65535),
  targetPort: fc.nat(65535),
  payload: fc.uint8Array({ minLength: 1, maxLength: 700 }),
  id: fc.oneof(fc.constant(0xfffe), fc.nat(0xffff)),
  tos: fc.nat(255),
  ttl: fc.nat(255),
  dontFragment: fc.boolean(),
  seq: fc.oneof(fc.constant(0xffff_fff0), fc.nat(0xffff_ffff)),
  ack: fc.nat(0xffff_ffff),
  flags: fc.nat(255),
  window: fc.nat(65535),
  options: fc.uint8Array({ maxLength: 10 }).map((b) => Uint8Array.from([...b, ...b, ...b, ...b])),
});

describe('the segmenter', () => {
  test('equals the plain twin: TCP and UDP, IPv4 and IPv6, any size, whatever is written behind', () => {
    fc.assert(
      fc.property(shape, fc.integer({ min: 1, max: 800 }), fc.nat(9), (packetShape, gsoSize, offset) => {
        const { virtio, packet } = makeSuper(makePacket(packetShape), gsoSize);
        expect(segments(virtio, packet, offset)).toEqual(slowSegment(virtio, packet).map(hex));
      }),
      { numRuns: 300 },
    );
  });

  test('a full super-packet of 64 KiB', () => {
    const payload = Uint8Array.from({ length: 65535 - 52 }, (_, i) => (i * 7 + (i >> 8)) & 0xff);
    const packet = makePacket({
      version: 4,
      tcp: true,
      source: 1,
      target: 2,
      sourcePort: 5001,
      targetPort: 5002,
      payload,
      id: 0xfff0,
      seq: 0xffff_0000,
      flags: 0x99,
      options: new Uint8Array(12).fill(1),
    });
    const made = makeSuper(packet, 1368);
    const expected = slowSegment(made.virtio, made.packet);
    expect(expected).toHaveLength(48);
    expect(segments(made.virtio, made.packet)).toEqual(expected.map(hex));
    // CWR on the first only, FIN and PSH on the last only.
    expect(expected.map((segment) => segment[33])).toEqual([0x90, ...new Array<number>(46).fill(0x10), 0x19]);
  });

  test('a checksum that was left to us is filled in', () => {
    fc.assert(
      fc.property(shape, (packetShape) => {
        const whole = makePacket(packetShape);
        const { virtio, packet } = makePartial(whole);
        expect(segments(virtio, packet)).toEqual([hex(whole)]);
      }),
      { numRuns: 200 },
    );
  });

  test('a UDP checksum that comes out as zero is sent as ones', () => {
    const base: PacketShape = {
      version: 4,
      tcp: false,
      source: 1,
      target: 2,
      sourcePort: 3,
      targetPort: 4,
      payload: new Uint8Array(2),
    };
    const checksum = makePacket(base).slice(26, 28);
    const whole = makePacket({ ...base, payload: checksum });
    expect(hex(whole.slice(26, 28))).toBe('ffff');
    const partial = makePartial(whole);
    expect(segments(partial.virtio, partial.packet)).toEqual([hex(whole)]);
    const cut = makeSuper(makePacket({ ...base, payload: Uint8Array.from([...checksum, ...checksum]) }), 2);
    expect(segments(cut.virtio, cut.packet)[0]).toBe(hex(whole));
  });

  test('a plain packet passes as it is', () => {
    const packet = makePacket({
      version: 6,
      tcp: true,
      source: 1,
      target: 2,
      sourcePort: 3,
      targetPort: 4,
      payload: new Uint8Array(100),
    });
    expect(segments(PLAIN, packet)).toEqual([hex(packet)]);
  });

  test('a header that contradicts its packet is refused', () => {
    const tcp4 = makeSuper(
      makePacket({
        version: 4,
        tcp: true,
        source: 1,
        target: 2,
        sourcePort: 3,
        targetPort: 4,
        payload: new Uint8Array(100),
      }),
      50,
    );
    const wrong: Partial<Virtio>[] = [
      { gsoType: 4 },
      { gsoType: 3 },
      { gsoType: 2 },
      { gsoSize: 0 },
      { csumStart: 24 },
      { csumStart: 0 },
      { csumStart: 60_000 },
      { gsoType: 0, csumStart: 130, csumOffset: 16 },
      { gsoType: 0, csumStart: 10, csumOffset: 16 },
    ];
    expect(segments(tcp4.virtio, tcp4.packet)).toHaveLength(2);
    for (const change of wrong) {
      expect([change, segments({ ...tcp4.virtio, ...change }, tcp4.packet)]).toEqual([change, []]);
    }
    const shortOffset = tcp4.packet.slice();
    shortOffset[32] = 0x40;
    expect(segments(tcp4.virtio, shortOffset)).toEqual([]);
    const longOffset = tcp4.packet.slice(0, 45);
    longOffset[32] = 0xf0;
    expect(segments(tcp4.virtio, longOffset)).toEqual([]);
    expect(segments(tcp4.virtio, tcp4.packet.slice(0, 40))).toEqual([]);
    expect(segments(tcp4.virtio, tcp4.packet.slice(0, 19))).toEqual([]);
  });

  test('survives random bytes: nothing throws, nothing lies outside what was read', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 300 }),
        fc.record({
          flags: fc.nat(3),
          gsoType: fc.constantFrom(0, 1, 3, 4, 5, 0x81, 0x84, 77),
          hdrLen: fc.nat(65535),
          gsoSize: fc.oneof(fc.nat(100), fc.nat(65535)),
          csumStart: fc.oneof(fc.constantFrom(20, 24, 40, 48), fc.nat(65535)),
          csumOffset: fc.oneof(fc.constantFrom(6, 16), fc.nat(65535)),
        }),
        fc.constantFrom(0x45, 0x46, 0x60, 0x00),
        (bytes, virtio, first) => {
          if (bytes.length > 0) bytes[0] = first;
          const { slab, length } = slabOf(0, virtioBytes(virtio), bytes);
          const segmenter = new Segmenter();
          let total = 0;
          if (!segmenter.begin(slab, 0, length)) return;
          while (segmenter.next()) {
            expect(segmenter.offset).toBeGreaterThanOrEqual(VIRTIO_HEADER);
            expect(segmenter.offset + segmenter.length).toBeLessThanOrEqual(length);
            expect(++total).toBeLessThanOrEqual(300);
          }
          expect(slab.bytes.subarray(length).every((byte) => byte === 0xa5)).toBe(true);
        },
      ),
      { numRuns: 500 },
    );
  });

  test('begin forgets what was left of the packet before', () => {
    const made = makeSuper(
      makePacket({
        version: 4,
        tcp: false,
        source: 1,
        target: 2,
        sourcePort: 3,
        targetPort: 4,
        payload: new Uint8Array(100),
      }),
      10,
    );
    const { slab, length } = slabOf(0, virtioBytes(made.virtio), made.packet);
    const segmenter = new Segmenter();
    expect(segmenter.begin(slab, 0, length) && segmenter.next()).toBe(true);
    expect(segmenter.begin(slab, 0, 5)).toBe(false);
    expect(segmenter.next()).toBe(false);
    expect(segmenter.begin(Slab.plain(4096), 0, 100)).toBe(true);
    expect(segmenter.next()).toBe(true);
    expect(segmenter.next()).toBe(false);
  });
});
