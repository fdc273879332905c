import { nativeCrypto } from '../../src/noise/native.js';
import { portableCrypto } from '../../src/noise/portable.js';

export const PROVIDERS = [
  ['portable', portableCrypto],
  ['native', nativeCrypto],
] as const;

export const hex = (text: string) => Uint8Array.from(Buffer.from(text.replace(/\s+/g, ''), 'hex'));
export const toHex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');
export const ascii = (text: string) => Uint8Array.from(Buffer.from(text, 'latin1'));

/** 32 bytes that only repeat when the seed does. */
export const keyOf = (seed: number) =>
  Uint8Array.from({ length: 32 }, (_, i) => (seed * 73 + i * 151 + (i >> 2)) & 0xff);

/**
 * X25519 inputs whose result is zero for every private key: points of order 1, 2, 4 and 8 on the curve and its twist, in
 * canonical and other encodings (RFC 7748 §7; cr.yp.to/ecdh.html#validate).
 */
export const LOW_ORDER = [
  '0000000000000000000000000000000000000000000000000000000000000000',
  '0100000000000000000000000000000000000000000000000000000000000000',
  'e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800',
  '5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157',
  'ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  'edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  'eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  // the same with the ignored top bit set
  '0000000000000000000000000000000000000000000000000000000000000080',
  '5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f11d7',
  'ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff',
].map(hex);
