import { KEY_LENGTH } from '../noise/crypto.js';

const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';
/** 32 bytes are ten groups of four characters and one of three and a padding sign (RFC 4648 §4). */
const BASE64_LENGTH = 44;
/** Of the 43rd character only four bits are key; the other two must be 0, so that one key has one text. */
const BASE64_KEY = /^[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=$/;

/** The 32 bytes of a key in base64; null when the text is not exactly one. */
export function parseKey(text: string): Uint8Array | null {
  if (text.length !== BASE64_LENGTH || !BASE64_KEY.test(text)) return null;
  const out = new Uint8Array(KEY_LENGTH);
  let bits = 0;
  let held = 0;
  let at = 0;
  for (let i = 0; i < BASE64_LENGTH - 1; i++) {
    held = ((held << 6) | ALPHABET.indexOf(text[i]!)) & 0x3fff;
    bits += 6;
    if (bits < 8) continue;
    bits -= 8;
    out[at++] = (held >> bits) & 0xff;
  }
  return out;
}

export function formatKey(key: Uint8Array): string {
  let out = '';
  for (let i = 0; i < KEY_LENGTH; i += 3) {
    const group = (key[i]! << 16) | ((key[i + 1] ?? 0) << 8) | (key[i + 2] ?? 0);
    for (let shift = 18; shift >= 0; shift -= 6) out += ALPHABET[(group >> shift) & 63];
  }
  return out.slice(0, BASE64_LENGTH - 1) + '=';
}

/** The 32 bytes of a key in hexadecimal, as the UAPI has it; null when the text is not exactly one. */
export function parseHexKey(text: string): Uint8Array | null {
  if (text.length !== 2 * KEY_LENGTH || !/^[0-9a-fA-F]*$/.test(text)) return null;
  return Uint8Array.from({ length: KEY_LENGTH }, (_, i) => parseInt(text.slice(2 * i, 2 * i + 2), 16));
}

export function formatHexKey(key: Uint8Array): string {
  let out = '';
  for (const byte of key) out += byte.toString(16).padStart(2, '0');
  return out;
}

/** All bytes zero: how WireGuard's tools write "no key". */
export function isZeroKey(key: Uint8Array): boolean {
  return key.every((byte) => byte === 0);
}
