import fc from 'fast-check';
import {
  isOffloadRecord,
  makeOffloadRecord,
  offloadPadded,
  offloadRecordLength,
} from '@wirestream/core/offload/record';
import { Segmenter, SPILL } from '@wirestream/core/offload/segment';
import { Slab } from '@wirestream/core/slab/slab';
import { noise } from '../arbitraries/bytes.js';
import { internetChecksum, packetShape, writePacket, type PacketShape } from '../arbitraries/packets.js';
import { must, mustEqual, target } from '../target.js';
import { recordLength } from '../twins/offloadrecord.js';
import { cutUp } from '../twins/segments.js';

interface Super {
  readonly shape: PacketShape;
  readonly segment: number;
  readonly segments: number;
  /** bytes of the last segment, cut to `segment` */
  readonly last: number;
  readonly flags: number;
}

const superPacket: fc.Arbitrary<Super> = fc.record({
  shape: packetShape.map((shape) => ({ ...shape, protocol: 'tcp' as const, badChecksum: false })),
  segment: fc.oneof(fc.integer({ min: 1, max: 40 }), fc.integer({ min: 41, max: 1500 })),
  segments: fc.oneof(fc.integer({ min: 2, max: 8 }), fc.integer({ min: 2, max: 128 })),
  last: fc.integer({ min: 1, max: 1500 }),
  flags: fc.constantFrom(0x10, 0x18, 0x11, 0x19, 0x50, 0x90, 0xd9),
});

/** As a TUN gives it, with the hint of the headers' length that kernels give: more than the headers. */
function fromTun({ shape, segment, segments, last, flags }: Super): Uint8Array {
  const ip = shape.version === 4 ? 20 : 40;
  const headers = ip + 20 + shape.options.length;
  const most = Math.floor((65_493 - headers) / segment);
  const length = (Math.min(segments, most) - 1) * segment + Math.min(last, segment);
  const packet = writePacket({ ...shape, flags, payload: noise(length, length) });
  packet.set(pseudoSum(packet, ip), ip + 16);
  const type = (shape.version === 4 ? 1 : 4) + (flags >= 0x80 ? 0x80 : 0);
  return Uint8Array.from([1, type, 99, 0, segment & 255, segment >> 8, ip, 0, 16, 0, ...packet]);
}

function pseudoSum(packet: Uint8Array, ip: number): [number, number] {
  const length = packet.length - ip;
  const addresses = ip === 20 ? packet.subarray(12, 20) : packet.subarray(8, 40);
  const sum = 0xffff - internetChecksum([[...addresses, 0, 0, length >> 8, length & 255, 0, 6]]);
  return [sum >> 8, sum & 255];
}

/** The plaintext that is sealed, in a slab at `AT`. */
const AT = 16;
function inSlab(bytes: Uint8Array, room = bytes.length): Slab {
  const slab = Slab.plain(AT + room + SPILL);
  slab.bytes.set(bytes, AT);
  return slab;
}

export const offloadRecords = target<Super>({
  name: 'offload-records',
  says: 'what a TUN gives becomes a record that is taken, and stands for exactly the packets that it would have been cut into',
  runs: 60,
  arbitrary: superPacket,
  check(made) {
    const given = fromTun(made);
    const padded = offloadPadded(given.length);
    const slab = inSlab(given, padded);
    must(makeOffloadRecord(slab, AT, given.length), 'the super-packet becomes a record');
    must(isOffloadRecord(slab.bytes, AT), 'the record shows what it is');
    must(![4, 6].includes(slab.bytes[AT]! >> 4), 'no WireGuard takes it for a packet');
    mustEqual(offloadRecordLength(slab, AT, padded), given.length, 'length found by the receiver');
    mustEqual(packetsOf(slab, given.length), cutUp({ packet: given.slice(10), segmentSize: made.segment }), 'packets');
  },
});

interface Hostile {
  readonly plaintext: Uint8Array;
}

/** A byte of the headers, mostly, and what becomes of it. */
const change = fc.tuple(
  fc.oneof(fc.nat({ max: 9 }), fc.nat({ max: 9 }), fc.nat({ max: 69 }), fc.nat({ max: 400 })),
  fc.oneof(
    fc.nat({ max: 255 }).map((value) => () => value),
    fc.nat({ max: 7 }).map((bit) => (before: number) => before ^ (1 << bit)),
    fc.constantFrom(-1, 1, 4).map((by) => (before: number) => (before + by) & 255),
  ),
);

export const offloadRecordsHostile = target<Hostile>({
  name: 'offload-records-hostile',
  says: 'the check of offload records agrees with the plain one, and what it lets pass is nothing but ordinary segments',
  runs: 400,
  arbitrary: fc
    .tuple(
      superPacket,
      fc.array(change, { maxLength: 3 }),
      fc.constantFrom('none', 'ip', 'all'),
      fc.integer({ min: -40, max: 40 }),
      fc.boolean(),
    )
    .map(([made, changes, mended, longer, isCut]) => {
      const given = fromTun({ ...made, segments: Math.min(made.segments, 8), segment: Math.min(made.segment, 90) });
      given[2] = (made.shape.version === 4 ? 40 : 60) + made.shape.options.length;
      for (const [at, how] of changes) if (at < given.length) given[at] = how(given[at]!);
      mend(given, mended);
      const length = isCut ? Math.max(0, given.length + longer) : offloadPadded(given.length);
      const plaintext = new Uint8Array(length);
      plaintext.set(given.subarray(0, length));
      return { plaintext };
    }),
  fromBytes: (plaintext) => ({ plaintext }),
  check({ plaintext }) {
    const slab = inSlab(plaintext);
    const length = offloadRecordLength(slab, AT, plaintext.length);
    mustEqual(length, recordLength(plaintext), 'length');
    mustEqual(slab.bytes.subarray(AT, AT + plaintext.length), plaintext, 'the plaintext after it was looked at');
    if (length === 0) return;
    const segmentSize = plaintext[4]! + plaintext[5]! * 256;
    const packet = plaintext.slice(10, length);
    const packets = packetsOf(slab, length);
    mustEqual(packets, cutUp({ packet, segmentSize }), 'packets');
    must(packets.length <= 128, 'no more packets than allowed');
    for (const segment of packets) {
      const ip = segment[0]! >> 4 === 4 ? 20 : 40;
      const tcp = segment.subarray(ip);
      const addresses = ip === 20 ? segment.subarray(12, 20) : segment.subarray(8, 40);
      must(segment.length <= ip + 60 + segmentSize, 'no packet is longer than its segment size allows');
      mustEqual(addresses, ip === 20 ? packet.subarray(12, 20) : packet.subarray(8, 40), 'addresses');
      mustEqual(internetChecksum([[...addresses, 0, 0, tcp.length >> 8, tcp.length & 255, 0, 6], tcp]), 0, 'checksum');
    }
  },
});

/** Makes checksums right again after a change, so that the other rules have to notice it. */
function mend(given: Uint8Array, what: string): void {
  const packet = given.subarray(10);
  const v4 = packet[0]! >> 4 === 4;
  if (what === 'none' || packet.length < 60) return;
  if (v4) {
    packet.set([0, 0], 10);
    const sum = internetChecksum([packet.subarray(0, 20)]);
    packet.set([sum >> 8, sum & 255], 10);
  }
  if (what === 'all') packet.set(pseudoSum(packet, v4 ? 20 : 40), (v4 ? 20 : 40) + 16);
}

function packetsOf(slab: Slab, length: number): Uint8Array[] {
  const segments = new Segmenter();
  must(segments.begin(slab, AT, length), 'what is taken can be cut up');
  const out: Uint8Array[] = [];
  while (segments.next()) out.push(slab.bytes.slice(segments.offset, segments.offset + segments.length));
  return out;
}
