import { RecordReader } from '@wirestream/core/stream/reader';
import { chunks } from '../arbitraries/bytes.js';
import { must } from '../target.js';

export interface Found {
  /** where the record begins in the stream */
  readonly at: number;
  readonly message: Uint8Array;
  readonly flags: number;
}

export interface Reading {
  /** records that were accepted */
  readonly accepted: Found[];
  /** records that were handed out and refused */
  readonly refused: Found[];
  readonly reader: RecordReader;
}

/** Longest record (DESIGN 3). */
const RECORD_MAX = 65_535 + 8;

/**
 * Feeds a stream to the reader in pieces, as a driver does, and refuses what `accepts` says is not authentic. Holds the reader to its
 * bounds on the way: it never keeps more than one record, takes bytes only forward, and never looks outside what it was given.
 * @param accepts by where the record begins in the stream and how long it is
 */
export function readStream(
  stream: Uint8Array,
  lengths: readonly number[],
  accepts: (at: number, message: Uint8Array) => boolean,
): Reading {
  const reading: Reading = { accepted: [], refused: [], reader: new RecordReader() };
  let base = 0;
  // A long record in single bytes would be copied a thousand times here, as no driver does that reads when there is something to read.
  const least = Math.ceil(stream.length / 1500);
  for (const chunk of chunks(
    stream,
    lengths.map((length) => Math.max(length, least)),
  )) {
    readChunk(reading, base, chunk, accepts);
    base += chunk.length;
  }
  return reading;
}

/** Feeds more. @param base offset of the chunk in the stream */
export function readChunk(
  { reader, accepted, refused }: Reading,
  base: number,
  chunk: Uint8Array,
  accepts: (at: number, message: Uint8Array) => boolean,
): void {
  // Something else in front and behind, which the reader must not take for part of the stream.
  const front = 5;
  const room = new Uint8Array(front + reader.kept + chunk.length + 40);
  const kept = reader.restore(room, front);
  must(kept <= RECORD_MAX, () => `the reader keeps ${kept} bytes`);
  room.set(chunk, front + kept);
  const end = front + kept + chunk.length;
  reader.attach(room, front, end);
  let steps = 0;
  while (reader.next()) {
    must(++steps <= 2 * (kept + chunk.length) + 2, 'the reader goes round in circles');
    const { recordOffset, messageOffset, messageLength, flags } = reader;
    must(
      recordOffset >= front && messageOffset + messageLength <= end,
      'a record reaches outside of what was attached',
    );
    const message = room.slice(messageOffset, messageOffset + messageLength);
    const at = base - kept + recordOffset - front;
    const ok = accepts(at, message);
    (ok ? accepted : refused).push({ at, message, flags });
    if (!ok) reader.reject();
  }
  reader.detach();
}
