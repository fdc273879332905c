/**
 * The length of the IP packet that begins at `offset`, of which `available` bytes are there (padding may follow it), or 0
 * when it is none: wrong version, shorter than its header, or longer than what is there (kernel receive.c).
 */
export function innerLength(bytes: Uint8Array, offset: number, available: number): number {
  const version = bytes[offset]! >> 4;
  if (version === 4 && available >= 20) {
    const length = (bytes[offset + 2]! << 8) | bytes[offset + 3]!;
    return length >= 20 && length <= available ? length : 0;
  }
  if (version === 6 && available >= 40) {
    const length = 40 + ((bytes[offset + 4]! << 8) | bytes[offset + 5]!);
    return length <= available ? length : 0;
  }
  return 0;
}
