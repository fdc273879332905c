import { describe, expect, test } from '@jest/globals';
import {
  isOffloadRecord,
  makeOffloadRecord,
  OFFLOAD_PLAINTEXT_MAX,
  offloadPadded,
  offloadRecordLength,
} from '../../src/offload/record.js';
import { Slab } from '../../src/slab/slab.js';
import { fixChecksums, makePacket, makeSuper, virtioBytes, type PacketShape } from '../linux/offload/packets.js';

const AT = 32;
const SHAPE = {
  tcp: true,
  source: 1,
  target: 2,
  sourcePort: 1000,
  targetPort: 80,
  payload: new Uint8Array(300).fill(7),
};
const OPTIONS = Uint8Array.of(1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2);

/** What a TUN gives for it. */
function given(version: 4 | 6, more: Partial<PacketShape> = {}, segment = 100): Uint8Array {
  const { virtio, packet } = makeSuper(makePacket({ version, ...SHAPE, ...more }), segment);
  return Uint8Array.from([...virtioBytes(virtio), ...packet]);
}

function inSlab(bytes: Uint8Array): Slab {
  const slab = Slab.plain(80_000);
  slab.bytes.set(bytes, AT);
  return slab;
}

const lengthOf = (bytes: Uint8Array, available = bytes.length) => offloadRecordLength(inSlab(bytes), AT, available);

describe.each([4, 6] as const)('an offload record of IPv%d', (version) => {
  const ip = version === 4 ? 20 : 40;
  const right = given(version);
  /** the record with bytes changed: [offset, value], … */
  const changed = (...changes: [number, number][]): number => {
    const bytes = right.slice();
    for (const [at, value] of changes) bytes[at] = value;
    return lengthOf(bytes);
  };
  /** … with a changed packet whose IPv4 checksum is right again, and that of the pseudo header still is */
  const packetChanged = (at: number, value: number): number => {
    const bytes = right.slice();
    bytes[10 + at] = value;
    const kept = bytes.slice(10 + ip + 16, 10 + ip + 18);
    if (version === 4 && at < 20) {
      const header = fixChecksums(Uint8Array.from([...bytes.slice(10, 30), ...new Uint8Array(20)])).slice(10, 12);
      bytes.set(header, 20);
    }
    bytes.set(kept, 10 + ip + 16);
    return lengthOf(bytes);
  };

  test('is taken, with any padding to 16', () => {
    expect(lengthOf(right)).toBe(right.length);
    for (let padding = 0; padding < 16; padding++) expect(lengthOf(right, right.length + padding)).toBe(right.length);
    expect(lengthOf(right, right.length + 16)).toBe(0);
    expect(lengthOf(right, right.length - 1)).toBe(0);
    expect(lengthOf(given(version, { options: OPTIONS }))).toBe(right.length + 12);
  });

  test('begins like nothing that WireGuard or the control messages know', () => {
    const slab = inSlab(right);
    expect(isOffloadRecord(slab.bytes, AT)).toBe(true);
    expect(slab.bytes[AT]! >> 4).toBe(0);
  });

  test.each([
    ['flags', 0, 0],
    ['flags', 0, 3],
    ['GSO type', 1, 0],
    ['GSO type of UDP', 1, 5],
    ['GSO type of the other IP version', 1, version === 4 ? 4 : 1],
    ['an unknown GSO type', 1, 3],
    ['ECN without CWR', 1, (version === 4 ? 1 : 4) | 0x80],
    ['the length of headers, too small', 2, ip + 19],
    ['the length of headers, too large', 2, ip + 21],
    ['the length of headers, beyond the packet', 3, 0xff],
    ['segments of nothing', 4, 0],
    ['checksum start', 6, ip + 1],
    ['checksum start, beyond the packet', 7, 1],
    ['checksum offset', 8, 6],
    ['checksum offset, beyond the packet', 9, 0xff],
    ['IP version 5', 10, 0x55],
  ] as const)('is refused for %s', (_what, at, value) => {
    expect(changed([at, value])).toBe(0);
  });

  test.each([
    ['another protocol', version === 4 ? 9 : 6, 17],
    ['an extension header, or options', version === 4 ? 0 : 6, version === 4 ? 0x46 : 0],
    ['a longer packet', version === 4 ? 3 : 5, 255],
    ['a TCP header that is too short', ip + 12, 0x40],
    ['a TCP header beyond the packet', ip + 12, 0xf0],
    ['reserved bits', ip + 12, 0x51],
    ['SYN', ip + 13, 0x12],
    ['RST', ip + 13, 0x14],
    ['urgent data', ip + 13, 0x30],
    ['no ACK', ip + 13, 0x08],
    ['CWR without ECN', ip + 13, 0x90],
    ['a complete checksum', ip + 16, 0x12],
  ] as const)('is refused for a packet with %s', (_what, at, value) => {
    expect(packetChanged(at, value)).toBe(0);
  });

  test('is refused for an address that the checksum is not of', () => {
    expect(packetChanged(version === 4 ? 19 : 39, 9)).toBe(0);
  });

  test('CWR goes with ECN; ECE, PSH and FIN are allowed', () => {
    const bytes = given(version, { flags: 0x90 });
    bytes[1]! |= 0x80;
    expect(lengthOf(bytes)).toBe(bytes.length);
    expect(lengthOf(given(version, { flags: 0x59 }))).toBe(right.length);
  });

  test('has from 2 to 128 segments', () => {
    expect(lengthOf(given(version, {}, 299))).toBe(right.length);
    expect(lengthOf(given(version, {}, 300))).toBe(0);
    expect(lengthOf(given(version, {}, 3))).toBe(right.length);
    const payload = new Uint8Array(129);
    expect(lengthOf(given(version, { payload }, 1))).toBe(0);
    expect(lengthOf(given(version, { payload: payload.subarray(1) }, 1))).not.toBe(0);
  });

  test('goes up to the longest record of a stream', () => {
    const payload = new Uint8Array(65_493 - ip - 20);
    const bytes = given(version, { payload }, 1400);
    expect(bytes.length).toBe(OFFLOAD_PLAINTEXT_MAX);
    expect(offloadPadded(bytes.length)).toBe(OFFLOAD_PLAINTEXT_MAX);
    expect(lengthOf(bytes)).toBe(bytes.length);
    const longer = given(version, { payload: new Uint8Array(payload.length + 1) }, 1400);
    expect(makeOffloadRecord(inSlab(longer), AT, longer.length)).toBe(false);
  });

  test('is made of what a TUN gave, whatever it says of the headers; the rest stays as it is', () => {
    const bytes = given(version, { options: OPTIONS });
    const slab = inSlab(bytes);
    slab.view.setUint16(AT + 2, 256, true);
    expect(makeOffloadRecord(slab, AT, bytes.length)).toBe(true);
    expect(slab.bytes.slice(AT, AT + bytes.length)).toEqual(bytes);
    expect(makeOffloadRecord(slab, AT, bytes.length - 1)).toBe(false);
    for (let length = 0; length < 80; length++) expect(makeOffloadRecord(slab, AT, length)).toBe(false);
  });
});

test('fragments of IPv4 and wrong header checksums are refused', () => {
  for (const [at, value] of [
    [6, 0x20],
    [6, 0x80],
    [7, 1],
  ] as const) {
    const packet = makePacket({ version: 4, ...SHAPE });
    packet[at] = value;
    const { virtio, packet: partial } = makeSuper(fixChecksums(packet), 100);
    expect(lengthOf(Uint8Array.from([...virtioBytes(virtio), ...partial]))).toBe(0);
  }
  const bytes = given(4);
  bytes[20]! ^= 1;
  expect(lengthOf(bytes)).toBe(0);
});

test('too little is refused, without a look beyond it', () => {
  const bytes = given(4);
  for (let length = 0; length < bytes.length; length++) {
    const slab = Slab.plain(4096);
    slab.bytes.set(bytes.subarray(0, length), 4096 - length);
    expect(offloadRecordLength(slab, 4096 - length, length)).toBe(0);
  }
});
