import { randomFillSync } from 'node:crypto';
import { writeHeader, HEADER_LENGTH } from '@wirestream/core/stream/header';
import { MessageType } from '@wirestream/core/messages/constants';

/** Bytes of a whole record that carries a full packet of a tunnel with MTU 1420, less its header: what the issue counts by. */
export const RECORD = 1452;
/** As much as the engine reads from a socket at once. */
export const READ = 256 * 1024;
/** Streams are longer than the caches near a core, as the data of a socket is. */
export const STREAM = 4 * 1024 * 1024;

/** Records one after the other, filled with noise as ciphertext is. */
export function cleanStream(size = STREAM, record = RECORD) {
  const bytes = randomFillSync(new Uint8Array(size));
  for (let at = 0; at + record <= size; at += record) {
    writeHeader(bytes, at, record - HEADER_LENGTH);
    bytes.fill(0, at + HEADER_LENGTH, at + HEADER_LENGTH + 4);
    bytes[at + HEADER_LENGTH] = MessageType.data;
  }
  return bytes;
}

/** Walks a whole stream with a reader, in reads of the engine's size. @returns the records found */
export function walk(reader, bytes) {
  let records = 0;
  for (let at = 0; at < bytes.length; at += READ) {
    // What was kept lies in front of the new bytes already, and is laid there again: all that is left out is the read itself.
    const kept = reader.restore(bytes, at - reader.kept);
    reader.attach(bytes, at - kept, Math.min(at + READ, bytes.length));
    while (reader.next()) records++;
    reader.detach();
  }
  return records;
}
