import { generateKeyPairSync } from 'node:crypto';

/** A WireGuard key pair, in base64. */
export function wireguardKeys() {
  const { d, x } = generateKeyPairSync('x25519').privateKey.export({ format: 'jwk' });
  const base64 = (text) => Buffer.from(text, 'base64url').toString('base64');
  return { secret: base64(d), public: base64(x) };
}
