import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { HEADER_LENGTH, recordLengthAt, writeFragmentHeader, writeHeader } from '../../src/stream/header.js';
import { RecordReader } from '../../src/stream/reader.js';
import { findHeader } from '../../src/stream/resync.js';

const MESSAGE_LENGTHS = [0, 148, 92, 64];

/** A record around a message of that type; a data message is `length` bytes of `fill`. */
function record(type: number, length = MESSAGE_LENGTHS[type]!, fill = 0xee): Uint8Array {
  const out = new Uint8Array(HEADER_LENGTH + length).fill(fill);
  writeHeader(out, 0, length);
  out.set([type, 0, 0, 0], HEADER_LENGTH);
  return out;
}

const concat = (...parts: Uint8Array[]) => Uint8Array.from(Buffer.concat(parts));

interface Options {
  /** says whether a message authenticates */
  authentic?: (message: Uint8Array) => boolean;
}

/** Feeds the chunks as a driver does. @returns the messages that authenticated */
function read(reader: RecordReader, chunks: Uint8Array[], { authentic = () => true }: Options = {}): Uint8Array[] {
  const slab = new Uint8Array(200_000);
  const out: Uint8Array[] = [];
  for (const chunk of chunks) {
    const kept = reader.restore(slab, 5);
    slab.set(chunk, 5 + kept);
    reader.attach(slab, 5, 5 + kept + chunk.length);
    while (reader.next()) {
      const message = slab.slice(reader.messageOffset, reader.messageOffset + reader.messageLength);
      if (authentic(message)) out.push(message);
      else reader.reject();
    }
    reader.detach();
  }
  return out;
}

const messagesOf = (records: Uint8Array[]) => records.map((bytes) => bytes.slice(HEADER_LENGTH));

/** Jest compares strings a hundred times faster than long arrays. */
const texts = (messages: Uint8Array[]) => messages.map((bytes) => Buffer.from(bytes).toString('base64'));

/** Cuts bytes at the given places (any numbers). */
function cut(bytes: Uint8Array, places: number[]): Uint8Array[] {
  const at = [...new Set(places.map((place) => place % (bytes.length + 1)))].sort((a, b) => a - b);
  return [0, ...at].map((from, i) => bytes.slice(from, at[i] ?? bytes.length));
}

describe('record reader', () => {
  const stream = [record(1), record(4, 32), record(4, 1452), record(2), record(3), record(4, 65_535)];

  test('readers whose long tails come and go in turns do not mix them up', () => {
    const readers = Array.from({ length: 12 }, () => new RecordReader());
    const out = readers.map((): Uint8Array[] => []);
    const streams = readers.map((_, i) => concat(record(4, 60_000, i), record(4, 40, i), record(4, 50_000, 64 + i)));
    for (let at = 0; at < 120_000; at += 7000 + (at % 977)) {
      const end = at + 7000 + (at % 977);
      readers.forEach((reader, i) => out[i]!.push(...read(reader, [streams[i]!.slice(at, end)])));
    }
    const expected = readers.map((_, i) => [record(4, 60_000, i), record(4, 40, i), record(4, 50_000, 64 + i)]);
    expect(out.map(texts)).toEqual(expected.map((records) => texts(messagesOf(records))));
    expect(readers.map(({ kept }) => kept)).toEqual(readers.map(() => 0));
  });

  test('finds the same records however the stream is cut', () => {
    const bytes = concat(...stream);
    fc.assert(
      fc.property(fc.array(fc.nat(), { maxLength: 12 }), (places) => {
        const reader = new RecordReader();
        expect(texts(read(reader, cut(bytes, places)))).toEqual(texts(messagesOf(stream)));
        expect([reader.kept, reader.resyncs, reader.skippedBytes, reader.records]).toEqual([0, 0, 0, stream.length]);
      }),
      { numRuns: 60 },
    );
  });

  test('byte by byte', () => {
    const small = [record(1), record(4, 48), record(2)];
    const bytes = concat(...small);
    expect(
      read(
        new RecordReader(),
        [...bytes].map((byte) => Uint8Array.of(byte)),
      ),
    ).toEqual(messagesOf(small));
  });

  test('fragment metadata is not part of the message', () => {
    const bytes = new Uint8Array(12 + 32);
    writeFragmentHeader(bytes, 0, 32, 7, 0x2000);
    bytes[12] = 4;
    const reader = new RecordReader();
    expect(read(reader, [bytes])).toEqual([bytes.slice(12)]);
    expect(reader.flags).toBe(1);
  });

  test('tells how much of a begun record is missing', () => {
    const reader = new RecordReader();
    read(reader, [record(4, 1000).slice(0, 108)]);
    expect([reader.kept, reader.missing]).toEqual([108, 900]);
    read(reader, [new Uint8Array(7)]);
    expect(reader.missing).toBe(893);
  });

  test('garbage in front of records is skipped and counted, in runs and bytes', () => {
    const reader = new RecordReader();
    const garbage = new Uint8Array(100).fill(0xa5);
    const got = read(reader, [concat(garbage, stream[0]!, stream[1]!, garbage, stream[2]!)]);
    expect(got).toEqual(messagesOf(stream.slice(0, 3)));
    expect([reader.resyncs, reader.skippedBytes]).toEqual([2, 200]);
    expect(reader.found).toBe(true);
  });

  test('when there is no header in what is there, at most the last 7 bytes are kept', () => {
    const reader = new RecordReader();
    read(reader, [new Uint8Array(1000).fill(0xa5)]);
    expect(reader.kept).toBe(7);
    expect(reader.skippedBytes).toBe(993);
    expect(reader.searching).toBe(true);
  });

  test('a header found by searching is not trusted when no message is behind it', () => {
    // A valid header in the middle of noise, that promises 5000 bytes of nothing like a message.
    const decoy = concat(Uint8Array.of(0xff), record(4, 5000).slice(0, 8), new Uint8Array(40).fill(0x77));
    const reader = new RecordReader();
    expect(read(reader, [concat(decoy, stream[0]!)])).toEqual([stream[0]!.slice(8)]);
    expect(reader.skippedBytes).toBe(decoy.length);
  });

  test.each([
    ['an initiation of another length', 1, 150],
    ['a response of another length', 2, 148],
    ['type 5', 5, 64],
    ['type 0', 0, 64],
  ])('nor when it is %s', (_, type, length) => {
    const decoy = concat(Uint8Array.of(0xff), record(type, length, 0x66));
    expect(read(new RecordReader(), [concat(decoy, stream[0]!)])).toEqual([stream[0]!.slice(8)]);
  });

  test('a found header whose message has not arrived yet is waited for, not skipped', () => {
    const bytes = concat(Uint8Array.of(0xff, 0xff), stream[1]!);
    for (let at = 0; at <= bytes.length; at++) {
      expect(read(new RecordReader(), [bytes.slice(0, at), bytes.slice(at)])).toEqual([stream[1]!.slice(8)]);
    }
  });

  test('a guess that does not authenticate swallows nothing: the search goes on inside it', () => {
    const hidden = record(1);
    const decoy = record(4, 600, 0x11);
    decoy.set(hidden, 200);
    const reader = new RecordReader();
    const authentic = (message: Uint8Array) => message[0] === 1;
    expect(read(reader, [concat(Uint8Array.of(0xff), decoy, record(1))], { authentic })).toEqual([
      hidden.slice(8),
      hidden.slice(8),
    ]);
    // The rest of the wrong guess, behind the record that it covered, is out of step once more.
    expect(reader.resyncs).toBe(2);
    expect(reader.records).toBe(2);
  });

  test('when bytes were lost from a record, its successor is found all the same', () => {
    const lost = record(4, 500, 0x22);
    const next = record(4, 300, 0x33);
    const authentic = (message: Uint8Array) => message.every((byte, i) => i < 4 || byte === 0x33);
    for (const missing of [1, 7, 8, 100, 307, 308]) {
      const bytes = concat(lost.slice(0, 508 - missing), next, record(4, 64, 0x33));
      const reader = new RecordReader();
      expect(read(reader, [bytes], { authentic })).toEqual([next.slice(8), record(4, 64, 0x33).slice(8)]);
    }
  });

  test('a sound record that does not authenticate costs nothing but itself', () => {
    const reader = new RecordReader();
    const records = [record(4, 64, 1), record(4, 64, 2), record(4, 64, 3)];
    const got = read(reader, [concat(...records)], { authentic: (message) => message[10] !== 2 });
    expect(got).toEqual([records[0]!.slice(8), records[2]!.slice(8)]);
    expect(reader.resyncs).toBe(0);
  });

  test('searching equals trying every offset', () => {
    const byte = fc.oneof(fc.constant(0), fc.constant(1), fc.nat(255));
    const piece = fc.oneof(
      fc.array(byte, { maxLength: 40 }).map((bytes) => Uint8Array.from(bytes)),
      fc.nat(40).map((length) => new Uint8Array(length)),
      fc.integer({ min: 32, max: 300 }).map((length) => record(4, length)),
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 8 }), fc.nat(60), fc.nat(20), (pieces, from, behind) => {
        const bytes = concat(...pieces);
        const end = Math.max(bytes.length - behind, 0);
        let expected = -1;
        for (let at = from; at + 8 <= end && expected < 0; at++) if (recordLengthAt(bytes, at) > 0) expected = at;
        expect(findHeader(bytes, from, end)).toBe(expected);
      }),
      { numRuns: 500 },
    );
  });
});
