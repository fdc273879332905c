import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { CaptureReader } from '../../src/capture/capturefile.js';
import { PcapngWriter } from '../../src/capture/pcapngwriter.js';
import { isWirestreamError } from '../../src/device/errors.js';
import { readAll } from './collect.js';
import { concat, noise } from './frames.js';

/** Blocks by hand, so that the reader is not only compared with the writer. */
class Blocks {
  constructor(private readonly little: boolean) {}

  u16 = (n: number): Uint8Array => this.#ordered([n >>> 8, n]);
  u32 = (n: number): Uint8Array => this.#ordered([n >>> 24, n >>> 16, n >>> 8, n]);

  block(type: number, body: Uint8Array, length = 12 + ((body.length + 3) & ~3)): Uint8Array {
    const padding = new Uint8Array(-body.length & 3);
    return concat(this.u32(type), this.u32(length), body, padding, this.u32(length));
  }

  option(code: number, value: Uint8Array): Uint8Array {
    return concat(this.u16(code), this.u16(value.length), value, new Uint8Array(-value.length & 3));
  }

  section(major = 1): Uint8Array {
    const unknown = new Uint8Array(8).fill(0xff);
    return this.block(0x0a0d0d0a, concat(this.u32(0x1a2b3c4d), this.u16(major), this.u16(0), unknown));
  }

  interface(linkType: number, snapLength = 0, ...options: Uint8Array[]): Uint8Array {
    return this.block(1, concat(this.u16(linkType), this.u16(0), this.u32(snapLength), ...options));
  }

  enhanced(id: number, stamp: bigint, data: Uint8Array, original = data.length, ...options: Uint8Array[]): Uint8Array {
    const padding = new Uint8Array(-data.length & 3);
    const [high, low] = [Number(stamp >> 32n), Number(stamp & 0xffffffffn)];
    const head = [id, high, low, data.length, original].map(this.u32);
    return this.block(6, concat(...head, data, padding, ...options));
  }

  #ordered(bytes: number[]): Uint8Array {
    return Uint8Array.from(this.little ? bytes.reverse() : bytes);
  }
}

const text = (s: string) => new TextEncoder().encode(s);

describe.each([
  ['little-endian', true],
  ['big-endian', false],
])('pcapng, %s', (_name, little) => {
  const b = new Blocks(little);

  test('every kind of packet block; all else is passed over', () => {
    const file = concat(
      b.section(),
      b.interface(1, 20),
      b.block(4, noise(40)),
      b.block(0xbad, noise(9)),
      b.enhanced(
        0,
        1_700_000_000_123_456n,
        noise(10),
        60,
        b.option(1, text('first')),
        b.option(1, text('second')),
        b.option(0, text('')),
      ),
      b.block(5, noise(24)),
      b.block(3, concat(b.u32(33), noise(20, 2))),
      b.block(2, concat(b.u16(0), b.u16(7), ...[395_812, 2_149_000_000 >>> 0, 5, 5].map(b.u32), noise(5, 3))),
      b.block(0x0000beef, noise(100_000)),
      b.block(0x40000bad, noise(700_000)),
      b.block(10, concat(b.u32(0x57474b4c), b.u32(5), text('keys\n'))),
      b.enhanced(0, 1_700_000_001_000_000n, noise(4, 4)),
    );
    const reading = readAll(file, [3, 40, 200, 60_000, 500_000]);
    expect(reading.damage).toEqual([]);
    expect(reading.format).toBe('pcapng');
    expect(reading.interfaces).toEqual([{ id: 0, linkType: 1, snapLength: 20 }]);
    expect(reading.secrets).toEqual([{ type: 0x57474b4c, text: 'keys\n' }]);
    expect(reading.packets).toMatchObject([
      { number: 1, seconds: 1_700_000_000, nanoseconds: 123_456_000, originalLength: 60, comment: 'first\nsecond' },
      // A simple packet block has no time of its own and is cut at the interface's snap length.
      { number: 2, seconds: 1_700_000_000, originalLength: 33, data: noise(20, 2), comment: undefined },
      { number: 3, data: noise(5, 3) },
      { number: 4, seconds: 1_700_000_001, nanoseconds: 0, data: noise(4, 4) },
    ]);
  });

  test.each([
    ['seconds', [0], 1_700_000_000n, 0],
    ['nanoseconds', [9], 1_700_000_000_987_654_321n, 987_654_321],
    ['tenths', [1], 17_000_000_003n, 300_000_000],
    ['picoseconds', [12], 1_700_000_000_987_654_321_999n & 0xffffffffffffffffn, -1],
    ['2^-10', [0x8a], (1_700_000_000n << 10n) | 512n, 500_000_000],
    ['2^-32', [0xa0], (1_700_000_000n << 32n) | (1n << 31n), 500_000_000],
  ])('time in %s', (_what, resolution, stamp, nanoseconds) => {
    const file = concat(
      b.section(),
      b.interface(101, 0, b.option(9, Uint8Array.from(resolution)), b.option(2, text('wg0'))),
      b.enhanced(0, stamp, noise(3)),
    );
    const reading = readAll(file);
    expect(reading.interfaces).toEqual([{ id: 0, linkType: 101, snapLength: 0, name: 'wg0' }]);
    const unit = resolution[0]! >= 128 ? 1n << BigInt(resolution[0]! & 127) : 10n ** BigInt(resolution[0]!);
    expect(reading.packets[0]!.seconds).toBe(Number(stamp / unit));
    if (nanoseconds >= 0) expect(reading.packets[0]!.nanoseconds).toBe(nanoseconds);
  });

  test('seconds may be added, or taken away', () => {
    for (const offset of [3600n, -3600n]) {
      const value = BigInt.asUintN(64, offset);
      const halves = [Number(value >> 32n), Number(value & 0xffffffffn)];
      const bytes = concat(...(little ? halves.reverse() : halves).map(b.u32));
      const file = concat(
        b.section(),
        b.interface(1, 0, b.option(14, bytes)),
        b.enhanced(0, 1_700_000_000_000_001n, noise(1)),
      );
      expect(readAll(file).packets[0]).toMatchObject({ seconds: 1_700_000_000 + Number(offset), nanoseconds: 1000 });
    }
  });

  test('several sections, each with its own byte order and interfaces', () => {
    const other = new Blocks(!little);
    const file = concat(
      b.section(),
      b.interface(1),
      b.interface(101),
      b.enhanced(1, 1_000_000n, noise(1)),
      other.section(),
      other.interface(113),
      other.enhanced(0, 2_000_000n, noise(2)),
    );
    const reading = readAll(file, [50]);
    expect(reading.damage).toEqual([]);
    expect(reading.packets.map(({ linkType, interfaceId, seconds }) => [linkType, interfaceId, seconds])).toEqual([
      [101, 1, 1],
      [113, 2, 2],
    ]);
  });
});

describe('pcapng writer', () => {
  test('what is written is read', () => {
    const packet = fc.record({
      id: fc.nat(1),
      seconds: fc.nat(2 ** 31),
      nanoseconds: fc.nat(999_999_999),
      data: fc.uint8Array({ maxLength: 50 }),
      comment: fc.option(fc.string({ minLength: 1, maxLength: 20, unit: 'grapheme' }), { nil: undefined }),
    });
    fc.assert(
      fc.property(
        fc.array(packet, { maxLength: 6 }),
        fc.boolean(),
        fc.array(fc.nat(800), { maxLength: 8 }),
        (packets, big, cuts) => {
          const writer = new PcapngWriter(big);
          const file = concat(
            writer.section('test', 'a comment'),
            writer.secrets('LOCAL_STATIC_PRIVATE_KEY = x\n'),
            writer.interface({ linkType: 101, name: 'inner', description: 'x' }),
            writer.interface({ linkType: 1 }),
            ...packets.map((p) =>
              writer.packet(p.id, p.seconds, p.nanoseconds, p.data, {
                originalLength: p.data.length + 7,
                direction: 'outbound',
                ...(p.comment === undefined ? {} : { comment: p.comment }),
              }),
            ),
          );
          const reading = readAll(file, cuts);
          expect(reading.damage).toEqual([]);
          expect(reading.secrets).toEqual([{ type: 0x57474b4c, text: 'LOCAL_STATIC_PRIVATE_KEY = x\n' }]);
          expect(reading.packets).toEqual(
            packets.map((p, i) => ({
              number: i + 1,
              interfaceId: p.id,
              linkType: p.id === 0 ? 101 : 1,
              seconds: p.seconds,
              nanoseconds: p.nanoseconds,
              data: p.data,
              originalLength: p.data.length + 7,
              comment: p.comment,
            })),
          );
        },
      ),
    );
  });

  test('packets are cut at the snap length', () => {
    const writer = new PcapngWriter();
    const file = concat(
      writer.section(),
      writer.interface({ linkType: 1, snapLength: 8 }),
      writer.packet(0, 1, 0, noise(20)),
    );
    expect(readAll(file).packets).toMatchObject([{ data: noise(20).subarray(0, 8), originalLength: 20 }]);
  });
});

describe('damaged pcapng', () => {
  const b = new Blocks(true);
  const packets = Array.from({ length: 8 }, (_, i) => noise(50 + i, i + 1));
  const blocks = packets.map((data, i) => b.enhanced(0, BigInt(i) * 1_000_000n, data));
  const head = concat(b.section(), b.interface(1));
  const file = concat(head, ...blocks);

  test('cut anywhere', () => {
    for (let cut = head.length + 1; cut < file.length; cut += 5) {
      const reading = readAll(file.slice(0, cut));
      let whole = 0;
      let at = head.length;
      while (whole < blocks.length && at + blocks[whole]!.length <= cut) at += blocks[whole++]!.length;
      expect(reading.packets.map(({ data }) => data)).toEqual(packets.slice(0, whole));
      expect(reading.damage.map(({ code }) => code)).toEqual(at === cut ? [] : ['capture-truncated']);
    }
  });

  test('bytes changed, inserted or removed anywhere cost the packets that they touch', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: head.length, max: file.length - 1 }),
        fc.uint8Array({ maxLength: 20 }),
        fc.integer({ min: 0, max: 20 }),
        (at, inserted, removed) => {
          const found = readAll(concat(file.slice(0, at), inserted, file.slice(at + removed))).packets.map(({ data }) =>
            Buffer.from(data).toString('hex'),
          );
          let start = head.length;
          for (const [i, block] of blocks.entries()) {
            const isTouched = start < at + Math.max(removed, 1) && start + block.length > at;
            if (!isTouched) expect(found).toContain(Buffer.from(packets[i]!).toString('hex'));
            start += block.length;
          }
        },
      ),
      { numRuns: 300 },
    );
  });

  test.each([
    ['a packet of an interface that is not described', b.enhanced(3, 0n, noise(4)), /packet 1 names interface 3/],
    [
      'more bytes than the block has',
      b.block(6, concat(...[0, 0, 0, 500, 500].map(b.u32), noise(8))),
      /500 captured bytes/,
    ],
    ['an impossible length', concat(b.u32(6), b.u32(7)), /claims to be 7 bytes/],
    ['lengths that differ', concat(b.block(6, noise(28)).slice(0, -4), b.u32(44)), /two different lengths/],
    ['a secrets block that is too long', b.block(10, new Uint8Array(600_000)), /too long to be used/],
    ['a secrets block that lies', b.block(10, concat(b.u32(0x57474b4c), b.u32(99), noise(8))), /longer than its block/],
    ['a packet block that is too short', b.block(6, noise(8)), /too short/],
  ])('%s is reported, and the packets behind it are read', (_name, block, message) => {
    const reading = readAll(concat(head, block, ...blocks));
    expect(reading.damage.map((error) => error.message).join()).toMatch(message);
    expect(reading.packets.slice(-7).map(({ data }) => data)).toEqual(packets.slice(-7));
  });

  test('hostile lengths are not gathered', () => {
    for (const type of [6, 10, 0x1234, 0x0a0d0d0a]) {
      const reader = new CaptureReader({ packet: () => undefined });
      reader.push(head);
      reader.push(concat(b.u32(type), b.u32(0xfffffff0), b.u32(0x1a2b3c4d)));
      const before = process.memoryUsage().arrayBuffers;
      const chunk = new Uint8Array(1 << 20).fill(0x41);
      for (let i = 0; i < 24; i++) reader.push(chunk);
      expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(8 << 20);
    }
  });

  test('too many interfaces, and an unknown version, end the reading', () => {
    const many = concat(head, ...Array.from({ length: 5000 }, () => b.interface(1)));
    expect(() => readAll(many)).toThrow(/4096 interfaces/);
    expect(() => readAll(new Blocks(true).section(2))).toThrow(/version 2\.0/);
  });

  test('noise never throws anything but a WirestreamError', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), fc.array(fc.nat(300), { maxLength: 5 }), (bytes, cuts) => {
        try {
          readAll(concat(head, bytes), cuts);
        } catch (error) {
          expect(isWirestreamError(error)).toBe(true);
        }
      }),
      { numRuns: 300 },
    );
  });
});
