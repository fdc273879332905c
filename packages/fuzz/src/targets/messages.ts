import fc from 'fast-check';
import {
  classify,
  counterHi,
  counterLo,
  mac1Offset,
  mac2Offset,
  readU32,
  receiverIndex,
  senderIndex,
} from '@wirestream/core/messages/parse';
import { paddedLength, writeTransportHeader, writeType, writeU32 } from '@wirestream/core/messages/write';
import { bytes, concat } from '../arbitraries/bytes.js';
import { message, nearlyMessage } from '../arbitraries/messages.js';
import { must, mustEqual, target } from '../target.js';

interface Input {
  readonly bytes: Uint8Array;
  readonly before: number;
}

export const classification = target<Input>({
  name: 'messages',
  says: 'a message is what its type, reserved bytes and length say; fields are read where the paper puts them',
  runs: 400,
  arbitrary: fc.record({ bytes: fc.oneof(message, nearlyMessage, bytes(200)), before: fc.nat({ max: 20 }) }),
  fromBytes: (data) => ({ bytes: data, before: 3 }),
  check({ bytes: body, before }) {
    const room = concat([new Uint8Array(before).fill(1), body, new Uint8Array(9).fill(4)]);
    const [type, a, b, c] = body;
    const sizes: Record<number, boolean> = {
      1: body.length === 148,
      2: body.length === 92,
      3: body.length === 64,
      4: body.length >= 32,
    };
    const expected = body.length >= 4 && a === 0 && b === 0 && c === 0 && sizes[type!] === true ? type! : 0;
    mustEqual(classify(room, before, body.length), expected, 'type');
    mustEqual(classify(body, 1, body.length), 0, 'type of what reaches past the end');
    mustEqual(classify(body, -1, body.length), 0, 'type of what begins before the beginning');
    if (expected === 0) return;
    const word = (at: number) =>
      Number(body.subarray(at, at + 4).reduceRight((n, byte) => n * 256n + BigInt(byte), 0n));
    if (expected <= 2) mustEqual(senderIndex(room, before), word(4), 'sender');
    if (expected !== 1) mustEqual(receiverIndex(room, before), word(expected === 2 ? 8 : 4), 'receiver');
    if (expected === 4) mustEqual([counterLo(room, before), counterHi(room, before)], [word(8), word(12)], 'counter');
    mustEqual(
      [mac1Offset(body.length), mac2Offset(body.length)],
      [body.length - 32, body.length - 16],
      'where the MACs are',
    );
  },
});

interface Fields {
  readonly type: number;
  readonly numbers: readonly [number, number, number];
  readonly length: number;
  readonly mtu: number;
}

const u32 = fc.oneof(fc.nat({ max: 0xffff_ffff }), fc.constantFrom(0, 1, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff));

export const messageWriting = target<Fields>({
  name: 'message-writing',
  says: 'what is written is read back; padding fills to 16 and never passes the MTU',
  runs: 300,
  arbitrary: fc.record({
    type: fc.constantFrom(1, 2, 3, 4),
    numbers: fc.tuple(u32, u32, u32),
    length: fc.oneof(fc.nat({ max: 100 }), fc.nat({ max: 65_535 })),
    mtu: fc.oneof(fc.constantFrom(0, 1420, 1280, 1500), fc.integer({ min: 68, max: 65_455 })),
  }),
  check({ type, numbers: [index, hi, lo], length, mtu }) {
    const out = new Uint8Array(24).fill(0xee);
    writeTransportHeader(out, 3, index, hi, lo);
    mustEqual(
      [readU32(out, 3), receiverIndex(out, 3), counterHi(out, 3), counterLo(out, 3)],
      [4, index, hi, lo],
      'header',
    );
    mustEqual([out[2], out[19]], [0xee, 0xee], 'bytes around it');
    writeType(out, 0, type as 1);
    mustEqual([...out.subarray(0, 4)], [type, 0, 0, 0], 'type');
    writeU32(out, 4, lo);
    mustEqual(readU32(out, 4), lo, 'a number');

    const padded = paddedLength(length, mtu);
    must(padded >= length && padded < length + 16, () => `${length} bytes are padded to ${padded}`);
    if (mtu === 0) mustEqual(padded % 16, 0, 'rest without an MTU');
    else if (length <= mtu)
      mustEqual(padded, Math.min(mtu, 16 * Math.ceil(length / 16)), `padded length under MTU ${mtu}`);
    else {
      const last = length % mtu;
      mustEqual(padded - (length - last), Math.min(mtu, 16 * Math.ceil(last / 16)), 'padded length of the last piece');
    }
  },
});
