import fc from 'fast-check';
import { PcapWriter } from '@wirestream/core/capture/pcapwriter';
import { PcapngWriter } from '@wirestream/core/capture/pcapngwriter';
import { bytes, concat } from './bytes.js';
import { packetShape, writePacket } from './packets.js';

/** Capture files of both formats, either byte order, and what is in them. */

export interface CapturePacket {
  readonly seconds: number;
  readonly nanoseconds: number;
  readonly data: Uint8Array;
  /** bytes beyond those captured */
  readonly cut: number;
}

export interface CaptureShape {
  readonly format: 'pcap' | 'pcapng';
  readonly bigEndian: boolean;
  readonly nanoseconds: boolean;
  readonly linkType: number;
  readonly packets: readonly CapturePacket[];
  readonly secrets: string | null;
}

const ethernet = packetShape.map((shape) =>
  concat([
    new Uint8Array(12),
    shape.version === 4 ? Uint8Array.of(8, 0) : Uint8Array.of(0x86, 0xdd),
    writePacket(shape),
  ]),
);
const contents = fc.oneof(
  ethernet,
  packetShape.map(writePacket),
  bytes(200).filter((b) => b.length > 0),
);

export const capture: fc.Arbitrary<CaptureShape> = fc.record(
  {
    format: fc.constantFrom('pcap' as const, 'pcapng' as const),
    bigEndian: fc.boolean(),
    nanoseconds: fc.boolean(),
    linkType: fc.constantFrom(1, 101, 113, 276, 0, 147),
    packets: fc
      .array(
        fc.record({
          seconds: fc.nat({ max: 3000 }).map((n) => 1_700_000_000 + n),
          nanoseconds: fc.nat({ max: 999_999 }).map((n) => n * 1000),
          data: contents,
          cut: fc.constantFrom(0, 0, 0, 10),
        }),
        { maxLength: 12 },
      )
      .map((packets) => packets.sort((a, b) => a.seconds - b.seconds)),
    secrets: fc.option(fc.constantFrom('', 'LOCAL_STATIC_PRIVATE_KEY = x\n', `PRESHARED_KEY = ${'A'.repeat(43)}=\n`)),
  },
  { noNullPrototype: true },
);

export function writeCapture(shape: CaptureShape): Uint8Array {
  const { format, bigEndian, nanoseconds, linkType, packets } = shape;
  if (format === 'pcap') {
    const writer = new PcapWriter({ linkType, nanoseconds, bigEndian });
    const bodies = packets.map((p) => writer.packet(p.seconds, p.nanoseconds, p.data, p.data.length + p.cut));
    return concat([writer.header(), ...bodies]);
  }
  const writer = new PcapngWriter(bigEndian);
  const parts = [writer.section('wirestream'), writer.interface({ linkType, name: 'x' })];
  if (shape.secrets !== null) parts.push(writer.secrets(shape.secrets));
  for (const p of packets) {
    parts.push(
      writer.packet(0, p.seconds, p.nanoseconds, p.data, { originalLength: p.data.length + p.cut, comment: 'c' }),
    );
  }
  return concat(parts);
}
