import fc from 'fast-check';
import { bytes, chunkLengths, concat } from '../arbitraries/bytes.js';
import { makeMessage } from '../arbitraries/messages.js';
import { writeRecord } from '../arbitraries/records.js';
import { buildStream, cleanStream, damagedStream, type BuiltStream, type StreamPart } from '../arbitraries/streams.js';
import { kernelRecords } from '../kernelreader.js';
import { must, mustEqual, target } from '../target.js';
import { readChunk, readStream, type Reading } from '../twins/readstream.js';

interface Input {
  readonly parts: StreamPart[];
  readonly lengths: number[];
}

export const readerClean = target<Input>({
  name: 'reader-clean',
  says: 'an undamaged stream gives all its records, however it is cut, and no search',
  runs: 80,
  arbitrary: fc.record({ parts: cleanStream, lengths: chunkLengths }),
  check({ parts, lengths }) {
    const { bytes: stream, whole } = buildStream(parts);
    const { accepted, reader } = readStream(stream, lengths, () => true);
    mustEqual(
      accepted.map(({ at, message }) => ({ at, message })),
      whole,
      'records',
    );
    mustEqual([reader.resyncs, reader.skippedBytes, reader.kept, reader.records], [0, 0, 0, whole.length], 'counters');
    mustEqual(
      kernelRecords(stream).map(({ at }) => at),
      whole.map(({ at }) => at),
      'records by the kernel’s rules',
    );
  },
});

interface RawInput {
  readonly stream: Uint8Array;
  readonly lengths: number[];
}

export const readerAny = target<RawInput>({
  name: 'reader-any',
  says: 'no bytes crash the reader or make it keep more than one record; any chunking gives the same records',
  runs: 150,
  arbitrary: fc.record({
    stream: fc.oneof(
      bytes(3000),
      damagedStream.map((parts) => buildStream(parts).bytes),
    ),
    lengths: chunkLengths,
  }),
  fromBytes: (stream) => ({ stream: stream.subarray(1), lengths: [1 + (stream[0] ?? 0)] }),
  check({ stream, lengths }) {
    const nothing = () => false;
    const whole = readStream(stream, [Math.max(1, stream.length)], nothing);
    const cut = readStream(stream, lengths, nothing);
    mustEqual(
      cut.refused.map(({ at }) => at),
      whole.refused.map(({ at }) => at),
      'records of a stream where nothing is authentic',
    );
    mustEqual(cut.accepted.length, 0, 'authentic records');
    const everything = readStream(stream, lengths, () => true);
    const there = readStream(stream, [Math.max(1, stream.length)], () => true);
    mustEqual(everything.accepted, there.accepted, 'records where everything is authentic');
    for (const counter of ['resyncs', 'skippedBytes', 'records', 'kept'] as const)
      mustEqual(everything.reader[counter], there.reader[counter], counter);
    let covered = 0;
    for (const { at, message } of everything.accepted) {
      must(at >= covered, 'records overlap');
      covered = at + message.length;
    }
  },
});

export const readerDamaged = target<Input>({
  name: 'reader-damaged',
  says: 'every whole record of a damaged stream is found, in whatever pieces it comes; the kernel’s reader finds no record that ours does not',
  runs: 150,
  arbitrary: fc.record({ parts: damagedStream, lengths: chunkLengths }),
  check({ parts, lengths }) {
    const built = buildStream(parts);
    const { reading, stream } = readToTheEnd(built, lengths);
    mustEqual(
      reading.accepted.slice(0, built.whole.length).map(({ at, message }) => ({ at, message })),
      built.whole,
      'whole records',
    );
    compareWithKernel(stream, reading);
  },
});

/**
 * Reads a stream and then as many good records as it takes until a false header at its end has had what it asked for. What is authentic is known by
 * where it is.
 */
export function readToTheEnd(built: BuiltStream, lengths: readonly number[]): { reading: Reading; stream: Uint8Array } {
  const authentic = new Map(built.whole.map(({ at, message }) => [at, message.length]));
  const accepts = (at: number, message: Uint8Array) => authentic.get(at) === message.length;
  const reading = readStream(built.bytes, lengths, accepts);
  const pieces = [built.bytes];
  let length = built.bytes.length;
  for (let size = 40; reading.reader.kept > 0 || reading.reader.searching; size = Math.min(8 * size, 30_000)) {
    must(length < built.bytes.length + 4 * 65_543, 'the reader waits for ever');
    const more = writeRecord({ message: makeMessage(4, size, size), fragment: null });
    authentic.set(length, size);
    readChunk(reading, length, more, accepts);
    pieces.push(more);
    length += more.length;
  }
  return { reading, stream: concat(pieces) };
}

/**
 * Where our reader and the kernel's differ, ours is better, and this is how:
 *
 * - the kernel takes a header that it found by searching at its word; ours wants to see the beginning of a message behind it, so the kernel hands
 *   out noise that ours passes over;
 * - when a record fails to authenticate, the kernel goes on behind it; ours looks inside, and finds the records that a false header swallowed, or that
 *   were reached into because bytes are missing.
 *
 * So everything authentic that the kernel's rules find, ours finds too; and what ours finds beyond it lies inside something that the kernel took
 * and that was not authentic, or that it still waits for.
 */
export function compareWithKernel(stream: Uint8Array, reading: Reading): void {
  const kernel = kernelRecords(stream);
  const ours = new Map(reading.accepted.map((record) => [record.at, record]));
  const theirs = new Set(kernel.map(({ at }) => at));
  const refused = new Set(reading.refused.map(({ at }) => at));
  for (const { at, length } of kernel) {
    const mine = ours.get(at);
    if (mine !== undefined) {
      mustEqual(mine.message.length + (mine.flags === 1 ? 12 : 8), length, 'length of a record that both find');
    } else if (!refused.has(at)) {
      // Ours passed it over: not in step there, and no message behind it; or it lies inside one that ours took.
      const inside = reading.accepted.some((r) => r.at < at && at < r.at + r.message.length + 8);
      const header = stream[at + 5] === 1 ? 12 : 8;
      must(
        inside || !looksLikeMessage(stream.subarray(at + header, at + length)),
        () => `a likely record at ${at} was passed over`,
      );
    }
  }
  const last = kernel[kernel.length - 1];
  const end = last === undefined ? 0 : last.at + last.length;
  for (const at of ours.keys()) {
    if (theirs.has(at)) continue;
    const swallowed = kernel.some((r) => r.at < at && at < r.at + r.length);
    must(swallowed || at >= end, () => `a record at ${at} that the kernel’s rules do not allow`);
  }
}

function looksLikeMessage(message: Uint8Array): boolean {
  const [type, a, b, c] = message;
  if (a !== 0 || b !== 0 || c !== 0) return false;
  return (
    (type === 1 && message.length === 148) ||
    (type === 2 && message.length === 92) ||
    (type === 3 && message.length === 64) ||
    type === 4
  );
}
