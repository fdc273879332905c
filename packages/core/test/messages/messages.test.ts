import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { MessageType } from '../../src/messages/constants.js';
import {
  classify,
  counterHi,
  counterLo,
  mac1Offset,
  mac2Offset,
  readU32,
  receiverIndex,
  senderIndex,
} from '../../src/messages/parse.js';
import { paddedLength, writeTransportHeader, writeType, writeU32 } from '../../src/messages/write.js';

const message = (type: number, length: number) => {
  const bytes = new Uint8Array(length);
  bytes[0] = type;
  return bytes;
};

describe('classify', () => {
  test('knows each type by its exact length', () => {
    for (let type = 0; type < 256; type++) {
      for (const length of [0, 1, 3, 4, 31, 32, 33, 63, 64, 65, 91, 92, 93, 147, 148, 149, 1500]) {
        const fixed: Record<number, number> = { 1: 148, 2: 92, 3: 64 };
        const valid = type === 4 ? length >= 32 : fixed[type] === length;
        expect(classify(message(type, length), 0, length)).toBe(valid ? type : MessageType.invalid);
      }
    }
  });

  test('the three reserved bytes are zero', () => {
    for (const [type, length] of [
      [1, 148],
      [2, 92],
      [3, 64],
      [4, 32],
    ] as const) {
      for (let i = 1; i < 4; i++) {
        const bytes = message(type, length);
        bytes[i] = 0x80;
        expect(classify(bytes, 0, length)).toBe(MessageType.invalid);
      }
    }
  });

  test('looks at the given place only, and never past the end', () => {
    const bytes = Uint8Array.from([9, 9, ...message(2, 92), 9]);
    expect(classify(bytes, 2, 92)).toBe(MessageType.response);
    expect(classify(bytes, 0, 92)).toBe(MessageType.invalid);
    expect(classify(bytes, 2, 94)).toBe(MessageType.invalid);
    expect(classify(bytes.subarray(0, 50), 2, 92)).toBe(MessageType.invalid);
    expect(classify(bytes, -1, 92)).toBe(MessageType.invalid);
  });
});

test('little-endian words come back, at any offset', () => {
  fc.assert(
    fc.property(fc.nat(2 ** 32 - 1), fc.nat(20), (value, offset) => {
      const bytes = new Uint8Array(32).fill(0x55);
      writeU32(bytes, offset, value);
      expect(readU32(bytes, offset)).toBe(value);
      expect(new DataView(bytes.buffer).getUint32(offset, true)).toBe(value);
      expect(bytes.filter((b) => b === 0x55).length).toBeGreaterThanOrEqual(28);
    }),
  );
});

test('a transport header reads as it was written', () => {
  const bytes = new Uint8Array(40);
  writeTransportHeader(bytes, 3, 0x89abcdef, 0xfedcba98, 0x76543210);
  expect(Buffer.from(bytes.subarray(3, 19)).toString('hex')).toBe('04000000efcdab891032547698badcfe');
  expect(receiverIndex(bytes, 3)).toBe(0x89abcdef);
  expect(counterHi(bytes, 3)).toBe(0xfedcba98);
  expect(counterLo(bytes, 3)).toBe(0x76543210);
  expect(classify(bytes, 3, 32)).toBe(MessageType.transport);
});

test('indices lie where each type has them', () => {
  const bytes = new Uint8Array(200);
  writeU32(bytes, 14, 0x11111111);
  writeU32(bytes, 18, 0x22222222);
  for (const [type, receiver] of [
    [MessageType.response, 0x22222222],
    [MessageType.cookieReply, 0x11111111],
    [MessageType.transport, 0x11111111],
  ] as const) {
    writeType(bytes, 10, type);
    expect(receiverIndex(bytes, 10)).toBe(receiver);
  }
  expect(senderIndex(bytes, 10)).toBe(0x11111111);
  expect([mac1Offset(148), mac2Offset(148), mac1Offset(92), mac2Offset(92)]).toEqual([116, 132, 60, 76]);
});

describe('padding', () => {
  test.each([
    // length, MTU, padded
    [0, 1420, 0],
    [1, 1420, 16],
    [16, 1420, 16],
    [17, 1420, 32],
    [84, 1420, 96],
    [1408, 1420, 1408],
    [1409, 1420, 1420],
    [1419, 1420, 1420],
    [1420, 1420, 1420],
    // longer than the MTU: only the last piece is padded
    [1421, 1420, 1436],
    [2840, 1420, 2840],
    [2840 + 100, 1420, 2840 + 112],
    [2839, 1420, 2840],
    // no MTU known
    [1420, 0, 1424],
    [65535, 0, 65536],
  ])('%i bytes at MTU %i take %i', (length, mtu, padded) => {
    expect(paddedLength(length, mtu)).toBe(padded);
  });

  test('never shortens, never adds 16, and never crosses the MTU', () => {
    fc.assert(
      fc.property(fc.nat(70_000), fc.integer({ min: 16, max: 9000 }), (length, mtu) => {
        const padded = paddedLength(length, mtu);
        expect(padded).toBeGreaterThanOrEqual(length);
        expect(padded - length).toBeLessThan(16);
        if (length <= mtu) expect(padded).toBeLessThanOrEqual(mtu);
      }),
    );
  });
});
