import { describe, expect, test } from '@jest/globals';
import {
  RECORD_MAX,
  headerLength,
  recordChecksum,
  recordLengthAt,
  writeFragmentHeader,
  writeHeader,
} from '../../src/stream/header.js';

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');
const bytes = (text: string) => Uint8Array.from(Buffer.from(text, 'hex'));

describe('record header', () => {
  // What the kernel module wrote (fixtures/kernel/README.md).
  test.each([
    ['initiation', 148, '0000009c0000b625'],
    ['response', 92, '000000640000a925'],
    ['keepalive', 32, '000000280000a0a5'],
  ])('of an %s is the kernel’s', (_, length, expected) => {
    const out = new Uint8Array(8);
    writeHeader(out, 0, length);
    expect(hex(out)).toBe(expected);
    expect(recordLengthAt(out, 0)).toBe(length + 8);
  });

  test('the checksum folds both halves of the length, flags and type, and rotates by five', () => {
    // Worked by hand: 0x0001 ^ 0x0007 ^ 0x0100 = 0x0106; rotated 0x20c0; xor 0xa5a5.
    expect(recordChecksum(0x00010007, 0, 1)).toBe(0x20c0 ^ 0xa5a5);
    // The bits that leave on the left come back on the right.
    expect(recordChecksum(0xf800, 0, 0)).toBe(0x001f ^ 0xa5a5);
  });

  test('with fragment metadata: four more bytes, flag 1, and they count in the length', () => {
    const out = new Uint8Array(12);
    writeFragmentHeader(out, 0, 32, 0xbeef, 0x2001);
    expect(out[3]).toBe(44);
    expect(out[5]).toBe(1);
    expect(hex(out.subarray(8))).toBe('beef2001');
    expect(recordLengthAt(out, 0)).toBe(44);
    expect(headerLength(1)).toBe(12);
  });

  const valid = (length: number, type = 0, flags = 0) => {
    const out = new Uint8Array(8);
    const view = new DataView(out.buffer);
    view.setUint32(0, length);
    out[4] = type;
    out[5] = flags;
    view.setUint16(6, recordChecksum(length, type, flags));
    return out;
  };

  test.each([
    ['shortest', 40, 0, 40],
    ['shorter than the shortest message', 39, 0, 0],
    ['shortest with metadata', 44, 1, 44],
    ['too short for metadata and a message', 43, 1, 0],
    ['longest', RECORD_MAX, 0, 65543],
    ['longer than the longest', RECORD_MAX + 1, 0, 0],
    ['unknown flag', 40, 2, 0],
    ['known and unknown flag', 44, 3, 0],
  ])('length and flags: %s', (_, length, flags, expected) => {
    expect(recordLengthAt(valid(length, 0, flags), 0)).toBe(expected);
  });

  test('no type but 0 is valid, whatever the checksum says', () => {
    for (const type of [1, 2, 255]) expect(recordLengthAt(valid(40, type), 0)).toBe(0);
  });

  test('any single flipped bit makes a header invalid', () => {
    const good = bytes('0000009c0000b625');
    for (let bit = 0; bit < 64; bit++) {
      const bad = good.slice();
      bad[bit >> 3]! ^= 1 << (bit & 7);
      expect(recordLengthAt(bad, 0)).toBe(0);
    }
  });
});
