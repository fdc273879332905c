import { wipe } from './bytes.js';
import { KEY_LENGTH } from './crypto.js';
import type { Crypto } from './crypto.js';

/** Our own static key pair. One object is shared by all peers of a device. */
export class LocalIdentity {
  readonly privateKey: Uint8Array;
  readonly publicKey: Uint8Array;

  /** @param privateKey 32 bytes, copied and clamped (RFC 7748 §5), as `wg` shows them */
  constructor(crypto: Crypto, privateKey: Uint8Array) {
    if (privateKey.length !== KEY_LENGTH) throw new RangeError(`a private key has ${KEY_LENGTH} bytes`);
    this.privateKey = clamp(privateKey);
    this.publicKey = crypto.publicKey(this.privateKey);
  }

  /** Forgets the private key, after no peer uses it any more. */
  wipe(): void {
    wipe(this.privateKey);
  }
}

/** A copy with the bits set and cleared that X25519 sets and clears anyway (RFC 7748 §5). */
export function clamp(privateKey: Uint8Array): Uint8Array {
  const out = privateKey.slice();
  out[0]! &= 0xf8;
  out[31] = (out[31]! & 0x7f) | 0x40;
  return out;
}
