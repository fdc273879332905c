import { createPrivateKey, createPublicKey, generateKeyPairSync, randomBytes } from 'node:crypto';

/** Keys in base64, as in configuration files. */
export interface Identity {
  readonly privateKey: string;
  readonly publicKey: string;
}

/** RFC 8410: what stands before the 32 bytes of an X25519 key in PKCS #8. */
const PKCS8 = Buffer.from('302e020100300506032b656e04220420', 'hex');
const RAW = -32;

/** A new pair; Node makes them, so that the product's own crypto is not asked about itself. */
export function identity(): Identity {
  const { privateKey } = generateKeyPairSync('x25519');
  const raw = Buffer.from(privateKey.export({ format: 'der', type: 'pkcs8' }).subarray(RAW));
  // As wg(8) stores them: clamped (RFC 7748 §5).
  raw[0]! &= 248;
  raw[31] = (raw[31]! & 127) | 64;
  return identityOf(raw.toString('base64'));
}

export function identityOf(privateKey: string): Identity {
  const der = Buffer.concat([PKCS8, Buffer.from(privateKey, 'base64')]);
  const key = createPublicKey(createPrivateKey({ key: der, format: 'der', type: 'pkcs8' }));
  const publicKey = key.export({ format: 'der', type: 'spki' }).subarray(RAW).toString('base64');
  return { privateKey, publicKey };
}

export function presharedKey(): string {
  return randomBytes(32).toString('base64');
}

export function hex(key: string): string {
  return Buffer.from(key, 'base64').toString('hex');
}
