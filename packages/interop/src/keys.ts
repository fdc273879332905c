import { generateKeyPairSync, randomBytes } from 'node:crypto';
import type { KeyMaterial } from './scenario/plan.js';

/** Keys for one scenario, in base64. */
export function freshKeys(): KeyMaterial {
  return { us: pair(), kernel: pair(), presharedKey: randomBytes(32).toString('base64') };
}

function pair(): { privateKey: string; publicKey: string } {
  const { d, x } = generateKeyPairSync('x25519').privateKey.export({ format: 'jwk' });
  const base64 = (text: string): string => Buffer.from(text, 'base64url').toString('base64');
  return { privateKey: base64(d!), publicKey: base64(x!) };
}
