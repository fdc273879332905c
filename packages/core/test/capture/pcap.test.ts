import { readFileSync, readdirSync } from 'node:fs';
import { Readable } from 'node:stream';
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import pcapParser from 'pcap-parser';
import { CaptureReader } from '../../src/capture/capturefile.js';
import { PACKET_MAX } from '../../src/capture/packet.js';
import { PcapWriter } from '../../src/capture/pcapwriter.js';
import { isWirestreamError } from '../../src/device/errors.js';
import { readAll, type Collected } from './collect.js';
import { concat, noise } from './frames.js';

const FIXTURES = new URL('../../../../fixtures/kernel/', import.meta.url);

interface Packet {
  readonly seconds: number;
  readonly nanoseconds: number;
  readonly data: Uint8Array;
  readonly more: number;
}

const packetArbitrary: fc.Arbitrary<Packet> = fc.record({
  seconds: fc.integer({ min: 1_700_000_000, max: 1_700_003_600 }),
  nanoseconds: fc.integer({ min: 0, max: 999_999_999 }),
  data: fc.uint8Array({ minLength: 1, maxLength: 80 }),
  more: fc.nat(2000),
});

function write(packets: readonly Packet[], options: { nanoseconds?: boolean; bigEndian?: boolean } = {}): Uint8Array {
  const writer = new PcapWriter({ linkType: 1, ...options });
  const parts = packets.map((p) => writer.packet(p.seconds, p.nanoseconds, p.data, p.data.length + p.more));
  return concat(writer.header(), ...parts);
}

/** Where each packet's header begins. */
function offsetsOf(packets: readonly Packet[]): number[] {
  let at = 24;
  return packets.map(({ data }) => (at += 16 + data.length) - 16 - data.length);
}

function pcapOracle(file: Uint8Array): Promise<{ header: { capturedLength: number }; data: Buffer }[]> {
  return new Promise((resolve, reject) => {
    const packets: { header: { capturedLength: number }; data: Buffer }[] = [];
    const parser = pcapParser.parse(Readable.from([Buffer.from(file)]));
    parser.on('packet', (packet) => packets.push(packet));
    parser.on('error', reject);
    parser.on('end', () => resolve(packets));
  });
}

describe('classic pcap', () => {
  test('what is written is read, in any byte order, resolution and chunking', () => {
    fc.assert(
      fc.property(
        fc.array(packetArbitrary, { maxLength: 8 }),
        fc.boolean(),
        fc.boolean(),
        fc.array(fc.nat(900), { maxLength: 12 }),
        (packets, nanoseconds, bigEndian, cuts) => {
          const reading = readAll(write(packets, { nanoseconds, bigEndian }), cuts);
          expect(reading.damage).toEqual([]);
          expect(reading.format).toBe('pcap');
          expect(reading.interfaces).toEqual([{ id: 0, linkType: 1, snapLength: PACKET_MAX }]);
          const expected = packets.map((p, i) => ({
            number: i + 1,
            interfaceId: 0,
            linkType: 1,
            seconds: p.seconds,
            nanoseconds: nanoseconds ? p.nanoseconds : Math.floor(p.nanoseconds / 1000) * 1000,
            data: p.data,
            originalLength: p.data.length + p.more,
            comment: undefined,
          }));
          expect(reading.packets).toEqual(expected);
        },
      ),
    );
  });

  test('the link type is the lower half of its field', () => {
    const file = write([]);
    new DataView(file.buffer).setUint32(20, 0x14000071, true);
    expect(readAll(file).interfaces[0]!.linkType).toBe(0x71);
  });

  test.each(readdirSync(FIXTURES).filter((name) => name.endsWith('.pcap')))(
    '%s reads as pcap-parser reads it',
    async (name) => {
      const file = new Uint8Array(readFileSync(new URL(name, FIXTURES)));
      const expected = (await pcapOracle(file)) as unknown as {
        header: { timestampSeconds: number; timestampMicroseconds: number; originalLength: number };
        data: Buffer;
      }[];
      const found = readAll(file, [1, 23, 25, 1000, 65536, 65537]).packets;
      const shape = (p: Collected) => [p.seconds, p.nanoseconds, p.originalLength, Buffer.from(p.data).toString('hex')];
      expect(found.map(shape)).toEqual(
        expected.map(({ header, data }) => [
          header.timestampSeconds,
          header.timestampMicroseconds * 1000,
          header.originalLength,
          data.toString('hex'),
        ]),
      );
    },
  );

  test('random files read as pcap-parser reads them', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(packetArbitrary, { maxLength: 6 }), fc.boolean(), async (packets, bigEndian) => {
        const file = write(packets, { bigEndian });
        const expected = await pcapOracle(file);
        expect(readAll(file).packets.map(({ data }) => [...data])).toEqual(expected.map(({ data }) => [...data]));
      }),
      { numRuns: 30 },
    );
  });
});

describe('files that are not what they should be', () => {
  const some: Packet[] = [1, 2, 3, 4, 5].map((seed) => ({
    seconds: 1_700_000_000 + seed,
    nanoseconds: 0,
    data: noise(100 + seed, seed),
    more: 0,
  }));

  test.each([
    ['an empty file', new Uint8Array(0), 'capture-truncated', /empty/],
    ['three bytes', Uint8Array.of(0xd4, 0xc3, 0xb2), 'capture-truncated', /3 bytes/],
    ['half a file header', write([]).slice(0, 11), 'capture-truncated', /11 bytes/],
    ['a text', new TextEncoder().encode('[Interface]\n'), 'capture-foreign', /5b 49 6e 74/],
  ])('%s', (_name, file, code, message) => {
    try {
      readAll(file);
      throw new Error('was taken');
    } catch (error) {
      expect(isWirestreamError(error) && error.code).toBe(code);
      expect((error as Error).message).toMatch(message);
    }
  });

  test('another version', () => {
    const file = write([]);
    file[6] = 9;
    expect(() => readAll(file)).toThrow(/version 2\.9/);
  });

  test('cut anywhere: everything whole before the cut is there, and the error names the packet', () => {
    const file = write(some);
    const starts = offsetsOf(some);
    for (let cut = 25; cut < file.length; cut += 7) {
      const whole = starts.filter((start, i) => start + 16 + some[i]!.data.length <= cut).length;
      const reading = readAll(file.slice(0, cut));
      expect(reading.packets.map(({ data }) => data)).toEqual(some.slice(0, whole).map(({ data }) => data));
      const isClean = cut === (starts[whole] ?? file.length);
      expect(reading.damage.map(({ code }) => code)).toEqual(isClean ? [] : ['capture-truncated']);
      if (!isClean) expect(reading.damage[0]!.message).toContain(`packet ${whole + 1}`);
    }
  });

  test('a hostile length is refused at once, and nothing is gathered for it', () => {
    const file = concat(write(some.slice(0, 1)));
    const header = new Uint8Array(16);
    new DataView(header.buffer).setUint32(8, 0xfffffff0, true);
    const damage: string[] = [];
    const reader = new CaptureReader({ packet: () => undefined, damage: (error) => damage.push(error.message) });
    reader.push(file);
    reader.push(header);
    expect(damage).toHaveLength(1);
    expect(damage[0]).toMatch(/packet 2, at byte 141 .* 4294967280 bytes/);
    const before = process.memoryUsage().arrayBuffers;
    const chunk = new Uint8Array(1 << 20).fill(0x41);
    for (let i = 0; i < 64; i++) reader.push(chunk);
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(16 << 20);
    expect(damage).toHaveLength(1);
  });

  test('the largest packet there can be is taken, one byte more is not', () => {
    for (const [length, taken] of [
      [PACKET_MAX, 1],
      [PACKET_MAX + 1, 0],
    ] as const) {
      const writer = new PcapWriter({ linkType: 1, snapLength: PACKET_MAX + 1 });
      const file = new Uint8Array(24 + 16 + length);
      file.set(writer.header(), 0);
      file.set(writer.packet(1, 0, new Uint8Array(length)), 24);
      const reading = readAll(file, [30, 100_000]);
      expect(reading.packets).toHaveLength(taken);
      expect(reading.damage).toHaveLength(1 - taken);
    }
  });

  test('bytes inserted or removed anywhere cost the packets that they touch and at most one more', () => {
    const many: Packet[] = Array.from({ length: 12 }, (_, i) => ({
      seconds: 1_700_000_000 + i,
      nanoseconds: 1000 * i,
      data: noise(60 + 13 * i, i + 1),
      more: 0,
    }));
    const file = write(many);
    const starts = offsetsOf(many);
    fc.assert(
      fc.property(
        fc.integer({ min: 24, max: file.length - 1 }),
        fc.uint8Array({ minLength: 0, maxLength: 40 }),
        fc.integer({ min: 0, max: 40 }),
        (at, inserted, removed) => {
          fc.pre(inserted.length + removed > 0);
          const hurt = concat(file.slice(0, at), inserted, file.slice(at + removed));
          const found = readAll(hurt).packets.map(({ data }) => Buffer.from(data).toString('hex'));
          const survivors = many.filter((p, i) => {
            const end = starts[i]! + 16 + p.data.length;
            return end <= at || starts[i]! >= at + removed;
          });
          const lost = survivors.filter(({ data }) => !found.includes(Buffer.from(data).toString('hex')));
          // The packet before may have been cut short by a header that only looks like one, and the search needs two in a row.
          expect(lost.length).toBeLessThanOrEqual(1);
        },
      ),
      { numRuns: 300 },
    );
  });

  test('noise never throws anything but a WirestreamError', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 400 }),
        fc.boolean(),
        fc.array(fc.nat(400), { maxLength: 5 }),
        (bytes, begin, cuts) => {
          try {
            readAll(begin ? concat(write([]), bytes) : bytes, cuts);
          } catch (error) {
            expect(isWirestreamError(error)).toBe(true);
          }
        },
      ),
      { numRuns: 300 },
    );
  });
});
