import { MessageType, PADDING_MULTIPLE, TRANSPORT_COUNTER, TRANSPORT_RECEIVER } from './constants.js';

/** Unsigned 32 bits, little-endian. */
export function writeU32(bytes: Uint8Array, offset: number, value: number): void {
  bytes[offset] = value;
  bytes[offset + 1] = value >>> 8;
  bytes[offset + 2] = value >>> 16;
  bytes[offset + 3] = value >>> 24;
}

/** A message's first four bytes: its type and three zeros. */
export function writeType(bytes: Uint8Array, offset: number, type: MessageType): void {
  writeU32(bytes, offset, type);
}

/** The 16 bytes before a sealed packet (WireGuard paper §5.4.6). */
export function writeTransportHeader(
  bytes: Uint8Array,
  offset: number,
  receiverIndex: number,
  counterHi: number,
  counterLo: number,
): void {
  writeU32(bytes, offset, MessageType.transport);
  writeU32(bytes, offset + TRANSPORT_RECEIVER, receiverIndex);
  writeU32(bytes, offset + TRANSPORT_COUNTER, counterLo);
  writeU32(bytes, offset + TRANSPORT_COUNTER + 4, counterHi);
}

/**
 * The size that a packet of `length` bytes is sealed at: a multiple of 16, except that padding never makes a packet
 * longer than the MTU (kernel send.c). A packet that is already longer than the MTU, a segmentation super-packet, is
 * padded as though only its last MTU-sized piece were there. An `mtu` of 0 means that none is known.
 */
export function paddedLength(length: number, mtu: number): number {
  if (mtu === 0) return aligned(length);
  const last = length > mtu ? length % mtu : length;
  return length - last + Math.min(mtu, aligned(last));
}

function aligned(length: number): number {
  return (length + PADDING_MULTIPLE - 1) & ~(PADDING_MULTIPLE - 1);
}
