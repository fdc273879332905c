/** ChaCha20-Poly1305 nonces as WireGuard makes them: 4 zero bytes, then a 64-bit little-endian counter (paper §5.4). */

export const NONCE_LENGTH = 12;

/** Writes the counter, given as two unsigned 32-bit halves, into a 12-byte nonce. */
export function writeNonce(nonce: Uint8Array, hi: number, lo: number): void {
  nonce[4] = lo;
  nonce[5] = lo >>> 8;
  nonce[6] = lo >>> 16;
  nonce[7] = lo >>> 24;
  nonce[8] = hi;
  nonce[9] = hi >>> 8;
  nonce[10] = hi >>> 16;
  nonce[11] = hi >>> 24;
}

/** A nonce for a handshake or test counter, which is a small number. */
export function nonceOf(counter: number): Uint8Array {
  const nonce = new Uint8Array(NONCE_LENGTH);
  writeNonce(nonce, Math.floor(counter / 2 ** 32), counter >>> 0);
  return nonce;
}
