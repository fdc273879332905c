import { MessageType, TRANSPORT_MIN_LENGTH } from '../messages/constants.js';
import { readU32 } from '../messages/parse.js';

/**
 * The size of the pieces that a transport message over UDP consists of, or 0 when it is one message.
 *
 * Where a sender leaves the segmentation to the kernel or the network card (UDP_SEGMENT), a capture on its side shows one
 * large datagram: messages of equal size, the last one shorter perhaps, one after the other. All of them are of one session with
 * ascending counters, which no ciphertext looks like by chance.
 */
export function segmentSize(bytes: Uint8Array, offset: number, length: number): number {
  if (length < 2 * TRANSPORT_MIN_LENGTH || bytes[offset] !== MessageType.transport) return 0;
  const receiver = readU32(bytes, offset + 4);
  const end = offset + length;
  for (let at = offset + TRANSPORT_MIN_LENGTH; at + TRANSPORT_MIN_LENGTH <= end; at++) {
    if (bytes[at] !== MessageType.transport) continue;
    if (readU32(bytes, at) !== MessageType.transport || readU32(bytes, at + 4) !== receiver) continue;
    if (areSegments(bytes, offset, end, at - offset, receiver)) return at - offset;
  }
  return 0;
}

function areSegments(bytes: Uint8Array, offset: number, end: number, size: number, receiver: number): boolean {
  let counter = readU32(bytes, offset + 8);
  for (let at = offset + size; at < end; at += size) {
    if (end - at < TRANSPORT_MIN_LENGTH) return false;
    if (readU32(bytes, at) !== MessageType.transport || readU32(bytes, at + 4) !== receiver) return false;
    const next = readU32(bytes, at + 8);
    if (next === counter) return false;
    counter = next;
  }
  return true;
}
