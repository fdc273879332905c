import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { Coalescer } from '../../../src/linux/offload/coalesce.js';
import { Segmenter } from '../../../src/offload/segment.js';
import { VIRTIO_HEADER } from '../../../src/offload/virtio.js';
import { Slab } from '../../../src/slab/slab.js';
import {
  fixChecksums,
  hex,
  makePacket,
  makeSuper,
  parseVirtio,
  slowChecksum,
  slowSegment,
  type PacketShape,
  type Virtio,
} from './packets.js';

interface Written {
  virtio: Virtio;
  packet: Uint8Array;
  pieces: number;
}

/** What comes out of a coalescer that was given `packets`, one after the other, in one batch. */
function coalesce(packets: readonly Uint8Array[], { udp = true, capacity = 1024 } = {}): Written[] {
  const slab = Slab.plain(packets.reduce((sum, packet) => sum + packet.length + VIRTIO_HEADER + 3, 64));
  const out: Written[] = [];
  const coalescer = new Coalescer(
    slab,
    udp,
    {
      write(from, offsets, lengths, count) {
        const whole: number[] = [];
        for (let i = 0; i < count; i++) whole.push(...from.bytes.subarray(offsets[i], offsets[i]! + lengths[i]!));
        const bytes = Uint8Array.from(whole);
        out.push({ virtio: parseVirtio(bytes), packet: bytes.slice(VIRTIO_HEADER), pieces: count });
      },
    },
    capacity,
  );
  let at = 1;
  for (const packet of packets) {
    at += VIRTIO_HEADER;
    slab.bytes.set(packet, at);
    coalescer.add(at, packet.length);
    at += packet.length;
  }
  coalescer.flush();
  expect(coalescer.pending).toBe(0);
  coalescer.flush();
  return out;
}

/** Everything cut up again by the plain segmenter. */
function resegmented(written: readonly Written[]): Uint8Array[] {
  return written.flatMap(({ virtio, packet }) => slowSegment(virtio, packet));
}

const base: PacketShape = {
  version: 4,
  tcp: true,
  source: 1,
  target: 2,
  sourcePort: 1000,
  targetPort: 2000,
  payload: new Uint8Array(0),
  id: 0xfffe,
  seq: 0xffff_ff00,
  ack: 77,
  flags: 0x10,
};

/** `count` segments of `size` bytes, as a sender makes them from one super-packet, and a last one of `rest`. */
function train(shape: Partial<PacketShape>, count: number, size: number, rest = 0): Uint8Array[] {
  const payload = Uint8Array.from({ length: count * size + rest }, (_, i) => (i * 31 + (i >> 8)) & 0xff);
  const { virtio, packet } = makeSuper(makePacket({ ...base, ...shape, payload }), size);
  return slowSegment(virtio, packet);
}

const kinds = [
  ['TCP over IPv4', { version: 4, tcp: true }],
  ['TCP over IPv6', { version: 6, tcp: true }],
  ['UDP over IPv4', { version: 4, tcp: false }],
  ['UDP over IPv6', { version: 6, tcp: false }],
] as const;

describe('the coalescer', () => {
  test.each(kinds)('%s: a train of segments becomes one, and cut up again is what it was', (_, kind) => {
    for (const rest of [0, 1, 99]) {
      const packets = train(kind, 9, 100, rest);
      const written = coalesce(packets);
      expect(written).toHaveLength(1);
      expect(written[0]!.pieces).toBe(packets.length);
      expect(written[0]!.virtio).toMatchObject({ flags: 1, gsoSize: 100 });
      expect(resegmented(written).map(hex)).toEqual(packets.map(hex));
    }
  });

  test('the super-packet has the headers that the kernel expects', () => {
    const packets = train({ flags: 0x18, options: new Uint8Array(12).fill(1) }, 3, 100, 7);
    const [written] = coalesce(packets);
    const { virtio, packet } = written!;
    expect(virtio).toEqual({ flags: 1, gsoType: 1, hdrLen: 52, gsoSize: 100, csumStart: 20, csumOffset: 16 });
    expect(packet).toHaveLength(52 + 307);
    expect(slowChecksum(packet.slice(0, 20))).toBe(0);
    expect((packet[2]! << 8) | packet[3]!).toBe(packet.length);
    expect(packet[33]).toBe(0x18);
    // The checksum field holds the pseudo header's sum: completed as for a plain packet, the whole is right.
    const completed = packet.slice();
    const sum = slowChecksum(completed.slice(20));
    completed.set([sum >> 8, sum & 0xff], 36);
    expect(hex(completed)).toBe(hex(fixChecksums(packet.slice())));
  });

  test('the fast segmenter undoes it too', () => {
    const packets = train({ version: 6 }, 40, 1400, 5);
    const slab = Slab.plain(100_000);
    const coalescer = new Coalescer(slab, false, {
      write(from, offsets, lengths, count) {
        const whole: number[] = [];
        for (let i = 0; i < count; i++) whole.push(...from.bytes.subarray(offsets[i], offsets[i]! + lengths[i]!));
        const copy = Slab.plain(whole.length + 64);
        copy.bytes.set(whole);
        const segmenter = new Segmenter();
        expect(segmenter.begin(copy, 0, whole.length)).toBe(true);
        for (const packet of packets) {
          expect(segmenter.next()).toBe(true);
          expect(hex(copy.bytes.subarray(segmenter.offset, segmenter.offset + segmenter.length))).toBe(hex(packet));
        }
        expect(segmenter.next()).toBe(false);
      },
    });
    packets.forEach((packet, i) => {
      slab.bytes.set(packet, 16 + i * 1500);
      coalescer.add(16 + i * 1500, packet.length);
    });
    coalescer.flush();
    expect.assertions(packets.length * 2 + 2);
  });

  test('flows that alternate are put together each for itself', () => {
    const flows = [
      train({}, 5, 100),
      train({ sourcePort: 1001 }, 5, 100),
      train({ target: 3 }, 5, 100),
      train({ version: 6 }, 5, 100),
      train({ tcp: false }, 5, 100),
    ];
    const packets = [0, 1, 2, 3, 4].flatMap((i) => flows.map((flow) => flow[i]!));
    const written = coalesce(packets);
    expect(written.map(({ pieces }) => pieces)).toEqual([5, 5, 5, 5, 5]);
    expect(resegmented(written).map(hex)).toEqual(flows.flat().map(hex));
  });

  /** A change to the second of four packets of a train after which it, and what follows, must not be merged with what is before. */
  const breaks: [string, Partial<PacketShape>, (packet: Uint8Array) => void, boolean?][] = [
    ['a gap in the sequence', {}, (p) => (p[27]! ^= 1)],
    ['another acknowledgment', {}, (p) => (p[31]! ^= 1)],
    ['another window', {}, (p) => (p[35]! ^= 1)],
    ['another urgent pointer', {}, (p) => (p[39]! ^= 1)],
    ['another option', { options: Uint8Array.from([1, 1, 1, 1]) }, (p) => (p[43]! = 0)],
    ['FIN', {}, (p) => (p[33]! |= 1)],
    ['SYN', {}, (p) => (p[33]! |= 2)],
    ['RST', {}, (p) => (p[33]! |= 4)],
    ['URG', {}, (p) => (p[33]! |= 0x20)],
    ['ECE', {}, (p) => (p[33]! |= 0x40)],
    ['CWR', {}, (p) => (p[33]! |= 0x80)],
    ['no ACK', {}, (p) => (p[33]! = 0)],
    ['a reserved bit', {}, (p) => (p[32]! |= 1)],
    ['another TOS', {}, (p) => (p[1]! ^= 1)],
    ['another TTL', {}, (p) => (p[8]! ^= 1)],
    ['another DF', {}, (p) => (p[6]! ^= 0x40)],
    ['another identification', {}, (p) => (p[5]! ^= 8)],
    ['another traffic class', { version: 6 }, (p) => (p[0]! ^= 1)],
    ['another flow label', { version: 6 }, (p) => (p[3]! ^= 1)],
    ['another hop limit', { version: 6 }, (p) => (p[7]! ^= 1)],
    ['a wrong TCP checksum', {}, (p) => (p[50]! ^= 1), false],
    ['a wrong IP checksum', {}, (p) => (p[11]! ^= 1), false],
    ['a wrong UDP checksum', { tcp: false }, (p) => (p[40]! ^= 1), false],
    ['no UDP checksum', { tcp: false }, (p) => p.fill(0, 26, 28), false],
    ['a wrong UDP length', { tcp: false }, (p) => (p[25]! ^= 1)],
  ];
  test.each(breaks)('%s is not merged', (_, shape, change, fix = true) => {
    const packets = train(shape, 4, 100);
    expect(coalesce(packets).map(({ pieces }) => pieces)).toEqual([4]);
    const second = packets[1]!;
    change(second);
    if (fix) fixChecksums(second);
    const written = coalesce(packets);
    expect(written[0]!.pieces).toBe(1);
    expect(resegmented(written).map(hex)).toEqual(packets.map(hex));
  });

  /** Changes to all packets of a train after which none may be merged. */
  test.each<[string, Partial<PacketShape>, (packet: Uint8Array) => void]>([
    ['PSH on each', {}, (p) => (p[33]! |= 8)],
    ['first fragments', {}, (p) => (p[6]! = 0x20)],
    ['later fragments', { tcp: false }, (p) => (p[7]! = 3)],
    ['an IPv4 length that leaves bytes over', {}, (p) => (p[3]! -= 8)],
    ['an IPv6 length that leaves bytes over', { version: 6 }, (p) => (p[5]! -= 8)],
    ['a length that promises more', {}, (p) => (p[3]! += 8)],
    ['IPv4 options', {}, (p) => (p[0]! = 0x46)],
    ['another protocol', { tcp: false }, (p) => (p[9]! = 136)],
  ])('%s: each stays alone', (_, shape, change) => {
    const packets = train(shape, 4, 100);
    for (const packet of packets) fixChecksums((change(packet), packet));
    const written = coalesce(packets);
    expect(written.map(({ pieces }) => pieces)).toEqual([1, 1, 1, 1]);
    expect(written.map(({ packet }) => hex(packet))).toEqual(packets.map(hex));
  });

  test('acknowledgments without data are never merged, though they follow each other', () => {
    const packets = [0, 1, 2].map((i) => makePacket({ ...base, id: i }));
    expect(coalesce(packets).map(({ pieces }) => pieces)).toEqual([1, 1, 1]);
  });

  test('a wrong checksum in the first of a train keeps it alone', () => {
    const packets = train({}, 4, 100);
    packets[0]![60]! ^= 1;
    const written = coalesce(packets);
    expect(written.map(({ pieces }) => pieces)).toEqual([1, 3]);
    expect(resegmented(written).map(hex)).toEqual(packets.map(hex));
  });

  test('PSH and a shorter segment end a super-packet; a longer one begins another', () => {
    const packets = train({}, 6, 100);
    packets[2]![33]! |= 8;
    fixChecksums(packets[2]!);
    expect(coalesce(packets).map(({ pieces }) => pieces)).toEqual([3, 3]);
    const short = [...train({}, 2, 100, 50), ...train({ seq: (0xffff_ff00 + 250) % 2 ** 32, id: 1 }, 2, 100)];
    expect(coalesce(short).map(({ pieces }) => pieces)).toEqual([3, 2]);
    const long = [...train({}, 2, 100), ...train({ seq: (0xffff_ff00 + 200) % 2 ** 32, id: 0 }, 2, 120)];
    expect(coalesce(long).map(({ pieces }) => pieces)).toEqual([2, 2]);
  });

  test('an acknowledgment without data does not let later data overtake it', () => {
    const packets = train({}, 4, 100);
    const ack = makePacket({ ...base, seq: 500, id: 9 });
    const written = coalesce([packets[0]!, packets[1]!, ack, packets[2]!, packets[3]!]);
    expect(written.map(({ pieces }) => pieces)).toEqual([2, 1, 2]);
    expect(hex(written[1]!.packet)).toBe(hex(ack));
  });

  test('UDP stays as it is where the kernel takes no UDP super-packets', () => {
    const packets = train({ tcp: false }, 4, 100);
    expect(coalesce(packets, { udp: false }).map(({ pieces }) => pieces)).toEqual([1, 1, 1, 1]);
  });

  test('no super-packet is larger than an IP packet may be, nor made of more than 128', () => {
    const big = coalesce(
      train({}, 45, 1460).concat(train({ seq: (0xffff_ff00 + 45 * 1460) % 2 ** 32, id: 43 }, 5, 1460)),
    );
    expect(big.map(({ pieces }) => pieces)).toEqual([44, 6]);
    const many = coalesce(train({}, 200, 10));
    expect(many.map(({ pieces }) => pieces)).toEqual([128, 72]);
  });

  test('a batch of more packets than it holds is written in parts', () => {
    const packets = train({}, 20, 100);
    const written = coalesce(packets, { capacity: 8 });
    expect(written.map(({ pieces }) => pieces)).toEqual([8, 8, 4]);
    expect(resegmented(written).map(hex)).toEqual(packets.map(hex));
  });

  test('whatever comes in comes out, bit by bit, each flow in its order', () => {
    const flow = fc.record({
      shape: fc.record({
        version: fc.constantFrom(4 as const, 6 as const),
        tcp: fc.boolean(),
        source: fc.nat(1),
        sourcePort: fc.nat(1),
        id: fc.constantFrom(0, 0xfffe),
        seq: fc.constantFrom(0, 0xffff_ff80),
        flags: fc.constantFrom(0x10, 0x18, 0x11, 0x90),
        options: fc.constantFrom(new Uint8Array(0), new Uint8Array(12).fill(1)),
      }),
      count: fc.nat(6),
      size: fc.integer({ min: 1, max: 64 }),
      rest: fc.nat(63),
    });
    // Each packet may be damaged: one bit flipped in the first 60 bytes, with the checksums made right again or not.
    const damage = fc.record({ at: fc.nat(59), bit: fc.nat(7), fix: fc.boolean() });
    fc.assert(
      fc.property(
        fc.array(flow, { minLength: 1, maxLength: 4 }),
        fc.infiniteStream(fc.nat(3)),
        fc.array(fc.tuple(fc.nat(24), damage), { maxLength: 3 }),
        (flows, picks, damages) => {
          const trains = flows.map(({ shape, count, size, rest }) =>
            train(shape, count, size, Math.min(rest, size - 1)),
          );
          const packets: Uint8Array[] = [];
          while (trains.some((packetTrain) => packetTrain.length > 0)) {
            const pick = picks.next().value! % trains.length;
            const next = trains
              .slice(pick)
              .concat(trains)
              .find((packetTrain) => packetTrain.length > 0)!;
            packets.push(next.shift()!);
          }
          for (const [which, { at, bit, fix }] of damages) {
            const packet = packets[which];
            if (packet === undefined || at >= packet.length) continue;
            packet[at]! ^= 1 << bit;
            const whole = packet[0]! >> 4 === 4 ? (packet[0]! & 0xf) === 5 && packet.length >= 40 : packet.length >= 60;
            if (fix && whole) fixChecksums(packet);
          }
          const out = resegmented(coalesce(packets));
          const key = flowKey;
          for (const name of new Set(packets.map(key))) {
            expect(out.filter((p) => key(p) === name).map(hex)).toEqual(
              packets.filter((p) => key(p) === name).map(hex),
            );
          }
          expect(out.map(hex).sort()).toEqual(packets.map(hex).sort());
        },
      ),
      { numRuns: 400 },
    );
  });

  test('survives random bytes', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.constantFrom(0x45, 0x46, 0x4f, 0x60, 0x10), fc.uint8Array({ maxLength: 90 }))),
        (list) => {
          const packets = list.map(([first, bytes]) => {
            if (bytes.length > 9) bytes[first === 0x60 ? 6 : 9] = bytes[8]! & 1 ? 6 : 17;
            if (bytes.length > 0) bytes[0] = first;
            return bytes;
          });
          const out = coalesce(packets).map(({ packet }) => hex(packet));
          expect(out).toEqual(packets.map(hex));
        },
      ),
      { numRuns: 300 },
    );
  });
});

/** Protocol, addresses and ports; fragments and packets with other headers are each a flow of their own. */
function flowKey(packet: Uint8Array): string {
  if (packet[0]! >> 4 === 4) {
    if ((packet[0]! & 0xf) !== 5 || (packet[6]! & 0x3f) !== 0 || packet[7] !== 0) return hex(packet);
    return hex(packet.slice(9, 10)) + hex(packet.slice(12, 24));
  }
  return packet[0]! >> 4 === 6 ? hex(packet.slice(6, 7)) + hex(packet.slice(8, 44)) : hex(packet);
}
