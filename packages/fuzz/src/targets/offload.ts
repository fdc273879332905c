import fc from 'fast-check';
import { fold, sumRange, updateChecksum } from '@wirestream/core/offload/checksum';
import { Coalescer } from '@wirestream/core/linux/offload/coalesce';
import { Segmenter } from '@wirestream/core/offload/segment';
import { VIRTIO_HEADER, VirtioHeader } from '@wirestream/core/offload/virtio';
import { nativeSlab } from '@wirestream/core/linux/nativeslab';
import { Slab } from '@wirestream/core/slab/slab';
import { bytes, noise } from '../arbitraries/bytes.js';
import { internetChecksum, packetShape, writePacket, type PacketShape } from '../arbitraries/packets.js';
import { hex, must, mustEqual, target } from '../target.js';
import { cutUp, fixTransport } from '../twins/segments.js';

interface Super {
  readonly shape: PacketShape;
  readonly segmentSize: number;
  readonly length: number;
  readonly at: number;
  /** how many bytes behind each segment its user writes */
  readonly spill: number;
}

const offloadable = packetShape.filter(
  ({ protocol, options }) => (protocol === 'tcp' || protocol === 'udp') && options[1] !== 0,
);
const GSO = { tcp4: 1, tcp6: 4, udp4: 5, udp6: 5 } as const;

export const segmenter = target<Super>({
  name: 'segmenter',
  says: 'a super-packet is cut into exactly the packets that the plain segmenter makes, whatever is written behind each',
  runs: 120,
  arbitrary: fc.record({
    shape: offloadable,
    segmentSize: fc.oneof(fc.integer({ min: 1, max: 40 }), fc.integer({ min: 41, max: 1500 })),
    length: fc.oneof(fc.integer({ min: 1, max: 200 }), fc.integer({ min: 1, max: 6000 })),
    at: fc.nat({ max: 5 }).map((n) => 2 * n),
    spill: fc.nat({ max: 15 }),
  }),
  check({ shape, segmentSize, length, at, spill }) {
    const packet = writePacket({ ...shape, badChecksum: false, payload: noise(length, length) });
    const ip = shape.version === 4 ? 20 : 40;
    const expected = cutUp({ packet, segmentSize });
    const slab = makeSlab(at + VIRTIO_HEADER + packet.length + 64);
    const header = new VirtioHeader();
    header.flags = 1;
    header.gsoType = GSO[`${shape.protocol as 'tcp' | 'udp'}${shape.version}`];
    header.gsoSize = segmentSize;
    header.csumStart = ip;
    header.csumOffset = shape.protocol === 'tcp' ? 16 : 6;
    header.write(slab, at);
    slab.bytes.set(packet, at + VIRTIO_HEADER);
    const segments = new Segmenter();
    must(segments.begin(slab, at, VIRTIO_HEADER + packet.length), 'the super-packet is taken');
    for (const segment of expected) {
      must(segments.next(), 'there is one more');
      mustEqual(slab.bytes.subarray(segments.offset, segments.offset + segments.length), segment, 'segment');
      slab.bytes.fill(0xee, segments.offset + segments.length, segments.offset + segments.length + spill);
    }
    must(!segments.next(), 'that was the last');
  },
});

interface Anything {
  readonly bytes: Uint8Array;
  readonly length: number;
}

export const segmenterAny = target<Anything>({
  name: 'segmenter-any',
  says: 'no virtio-net header and packet make the segmenter leave its slab, or go on for ever',
  runs: 200,
  arbitrary: fc
    .tuple(
      fc.uint8Array({ minLength: 10, maxLength: 10 }),
      fc.oneof(packetShape.map(writePacket), bytes(300)),
      fc.boolean(),
    )
    .map(([header, packet, isLikely]) => {
      if (isLikely) {
        header[0] = 1;
        header[1] = [0, 1, 4, 5, 0x81][header[1]! % 5]!;
        header[5] = header[5]! & 1;
        header.set([packet[0]! >> 4 === 4 ? 20 : 40, 0, header[8]! & 31, 0], 6);
      }
      const all = new Uint8Array(10 + packet.length);
      all.set(header);
      all.set(packet, 10);
      return { bytes: all, length: all.length };
    }),
  fromBytes: (all) => ({ bytes: all, length: all.length }),
  check({ bytes: all, length }) {
    const slab = makeSlab(2 + Math.max(length, 64) + 64);
    slab.bytes.set(all, 2);
    const segments = new Segmenter();
    if (!segments.begin(slab, 2, length)) return must(!segments.next(), 'nothing comes of what was refused');
    let n = 0;
    while (segments.next()) {
      must(++n <= length, 'the segmenter goes on for ever');
      must(
        segments.offset >= 2 && segments.offset + segments.length <= 2 + length,
        'a segment outside of what was read',
      );
    }
  },
});

interface Batch {
  readonly trains: {
    readonly shape: PacketShape;
    readonly count: number;
    readonly size: number;
    readonly rest: number;
  }[];
  /** picks the train that the next packet comes from */
  readonly order: number[];
  readonly udp: boolean;
}

export const coalescer = target<Batch>({
  name: 'coalescer',
  says: 'what is put together, cut up again, is bit by bit what came, in each flow’s order; wrong checksums are never made right',
  runs: 80,
  arbitrary: fc.record({
    trains: fc.array(
      fc.record({
        shape: packetShape,
        count: fc.integer({ min: 1, max: 8 }),
        size: fc.integer({ min: 1, max: 300 }),
        rest: fc.nat({ max: 200 }),
      }),
      { minLength: 1, maxLength: 4 },
    ),
    order: fc.array(fc.nat({ max: 3 }), { maxLength: 40, size: 'max' }),
    udp: fc.boolean(),
  }),
  check({ trains, order, udp }) {
    const queues = trains.map(train);
    const packets: Uint8Array[] = [];
    for (const pick of [...order, ...queues.flatMap((queue, i) => queue.map(() => i))]) {
      const next = queues[pick % queues.length]!.shift();
      if (next !== undefined) packets.push(next);
    }
    const slab = makeSlab(packets.reduce((sum, packet) => sum + packet.length + VIRTIO_HEADER + 6, 128));
    const out: Uint8Array[] = [];
    let pieces = 0;
    const merged = new Coalescer(slab, udp, {
      write(from, offsets, lengths, count) {
        const parts = Array.from({ length: count }, (_, i) => from.bytes.slice(offsets[i], offsets[i]! + lengths[i]!));
        pieces += count;
        out.push(...cutUp(superPacket(Buffer.concat(parts))));
      },
    });
    let at = 2;
    for (const packet of packets) {
      at += VIRTIO_HEADER;
      at += at & 1;
      slab.bytes.set(packet, at);
      merged.add(at, packet.length);
      at += packet.length;
    }
    merged.flush();
    mustEqual([merged.pending, pieces], [0, packets.length], 'packets written');
    mustEqual(out.map(hex).sort(), packets.map(hex).sort(), 'packets');
    for (const flow of new Set(packets.map(flowOf)))
      mustEqual(
        out.filter((p) => flowOf(p) === flow),
        packets.filter((p) => flowOf(p) === flow),
        `packets of flow ${flow}, in order`,
      );
  },
});

/** As a sender's stack makes them from one write. */
function train({ shape, count, size, rest }: Batch['trains'][number]): Uint8Array[] {
  const plain = { ...shape, payload: noise(count * size + Math.min(rest, size - 1), size) };
  if ((shape.protocol !== 'tcp' && shape.protocol !== 'udp') || shape.options[1] === 0) return [writePacket(plain)];
  const packets = cutUp({ packet: writePacket({ ...plain, badChecksum: false }), segmentSize: size });
  if (shape.badChecksum)
    packets[packets.length >> 1]!.set([1, 2], (shape.version === 4 ? 20 : 40) + (shape.protocol === 'tcp' ? 16 : 6));
  return packets;
}

/** What a TUN makes of a virtio-net header and what follows. */
function superPacket(all: Uint8Array): { packet: Uint8Array; segmentSize: number } {
  const view = new DataView(all.buffer, all.byteOffset, all.length);
  const packet = Uint8Array.from(all.subarray(VIRTIO_HEADER));
  if ((all[0]! & 1) !== 0) {
    // The field must hold the pseudo header's sum: completed over the rest, the checksum of the whole is right.
    const start = view.getUint16(6, true);
    const at = start + view.getUint16(8, true);
    const done = packet.slice();
    const sum = internetChecksum([packet.subarray(start)]);
    done.set([sum >> 8, sum & 255], at);
    const right = packet.slice();
    fixTransport(right, start, view.getUint16(8, true) === 16);
    mustEqual(done.subarray(at, at + 2), right.subarray(at, at + 2), 'completed checksum');
  }
  return { packet, segmentSize: all[1] === 0 ? 0 : view.getUint16(4, true) };
}

function flowOf(packet: Uint8Array): string {
  const v4 = packet[0]! >> 4 === 4;
  const ip = v4 ? 20 : 40;
  const protocol = v4 ? packet[9]! : packet[6]!;
  if (protocol !== 6 && protocol !== 17) return `${hex(packet)}`;
  return `${protocol} ${hex(packet.subarray(v4 ? 12 : 8, ip + 4))}`;
}

interface Summed {
  readonly bytes: Uint8Array;
  readonly at: number;
  readonly word: number;
}

export const checksums = target<Summed>({
  name: 'checksums',
  says: 'sums are those of RFC 1071, word by word, and changing a word changes the checksum as RFC 1624 says',
  runs: 200,
  arbitrary: fc.record({ bytes: bytes(300), at: fc.nat({ max: 40 }), word: fc.nat({ max: 0xffff }) }),
  check({ bytes: data, at, word }) {
    const slab = makeSlab(data.length + at + 16);
    slab.bytes.set(data, at);
    const slow = internetChecksum([data]);
    const swapped = ((slow & 255) << 8) | (slow >> 8);
    const sum = ~fold(sumRange(slab, at, data.length)) & 0xffff;
    must(sum === swapped || (sum % 0xffff === 0 && swapped % 0xffff === 0), () => `sum ${sum}, not ${swapped}`);
    if (data.length < 4) return;
    const before = slab.view.getUint16(at, true);
    slab.view.setUint16(at, word, true);
    const updated = updateChecksum(sum, before, word);
    const fresh = ~fold(sumRange(slab, at, data.length)) & 0xffff;
    must(
      updated === fresh || (updated % 0xffff === 0 && fresh % 0xffff === 0),
      () => `updated to ${updated}, not ${fresh}`,
    );
  },
});

/** Native memory where there is any, because some sums are C's. */
function makeSlab(size: number): Slab {
  return process.platform === 'linux' ? nativeSlab(size) : Slab.plain(size);
}
