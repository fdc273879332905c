/**
 * IP addresses between their text form and their bytes. IPv6 text follows RFC 4291 §2.2 on the way in and RFC 5952 §4 on
 * the way out, so that one address has one text and texts can be compared.
 */

const COLON = 0x3a;
const DOT = 0x2e;

/** 4 or 16 bytes of a dotted or colon form; null when the text is neither. Zone suffixes are not part of an address. */
export function parseIp(text: string): Uint8Array | null {
  if (text.includes(':')) return parseIpv6(text);
  const out = new Uint8Array(4);
  return readDotted(text, 0, out, 0) ? out : null;
}

// Character by character, without anything in between: a configuration may have a hundred thousand of them.

/** Reads a dotted form that begins at `start` and ends with the text into out[at, at + 4). */
function readDotted(text: string, start: number, out: Uint8Array, at: number): boolean {
  let part = 0;
  let value = 0;
  let digits = 0;
  for (let i = start; ; i++) {
    const code = i < text.length ? text.charCodeAt(i) : DOT;
    if (code === DOT) {
      if (digits === 0 || part === 4) return false;
      out[at + part++] = value;
      if (i >= text.length) return part === 4;
      value = digits = 0;
    } else {
      const digit = hexDigit(code);
      // No leading zeros, which some read as octal.
      if (digit < 0 || digit > 9 || (digits > 0 && value === 0)) return false;
      value = 10 * value + digit;
      if (value > 255) return false;
      digits++;
    }
  }
}

function parseIpv6(text: string): Uint8Array | null {
  const out = new Uint8Array(16);
  let at = 0;
  /** where '::' stands, bytes */
  let gap = -1;
  let i = 0;
  if (text.startsWith('::')) {
    gap = 0;
    i = 2;
  }
  while (i < text.length) {
    const start = i;
    let value = 0;
    for (let digit = hexDigit(text.charCodeAt(i)); digit >= 0; digit = hexDigit(text.charCodeAt(i))) {
      value = 16 * value + digit;
      if (++i - start > 4) return null;
    }
    if (text.charCodeAt(i) === DOT) {
      // The last 32 bits may be an IPv4 address.
      if (at > 12 || !readDotted(text, start, out, at)) return null;
      at += 4;
      break;
    }
    if (i === start || at > 14) return null;
    out[at++] = value >> 8;
    out[at++] = value & 0xff;
    if (i === text.length) break;
    if (text.charCodeAt(i++) !== COLON || i === text.length) return null;
    if (text.charCodeAt(i) !== COLON) continue;
    if (gap >= 0) return null;
    gap = at;
    i++;
  }
  if (gap < 0) return at === 16 ? out : null;
  // '::' stands for at least one group.
  if (at > 14) return null;
  out.copyWithin(16 - (at - gap), gap, at);
  return out.fill(0, gap, 16 - (at - gap));
}

/** What a hexadecimal digit stands for; -1 for any other character, and for the NaN behind a text's end. */
function hexDigit(code: number): number {
  if (code >= 0x30 && code <= 0x39) return code - 0x30;
  const lower = code | 0x20;
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x57 : -1;
}

/** The text form of 4 or 16 bytes at `offset`. */
export function formatIp(bytes: Uint8Array, offset = 0, length = bytes.length - offset): string {
  if (length === 4) return `${bytes[offset]}.${bytes[offset + 1]}.${bytes[offset + 2]}.${bytes[offset + 3]}`;
  const words: number[] = [];
  for (let i = 0; i < 16; i += 2) words.push((bytes[offset + i]! << 8) | bytes[offset + i + 1]!);
  // The longest run of at least two zero groups, the first of several, becomes '::' (RFC 5952 §4.2).
  let start = -1;
  let run = 1;
  for (let i = 0; i < 8; i++) {
    let n = 0;
    while (i + n < 8 && words[i + n] === 0) n++;
    if (n > run) {
      start = i;
      run = n;
    }
  }
  const hex = words.map((word) => word.toString(16));
  if (start < 0) return hex.join(':');
  return `${hex.slice(0, start).join(':')}::${hex.slice(start + run).join(':')}`;
}

/** Whether 16 bytes are an IPv4-mapped IPv6 address (::ffff:0:0/96, RFC 4291 §2.5.5.2). */
export function isMappedIpv4(bytes: Uint8Array, offset = 0): boolean {
  for (let i = 0; i < 10; i++) if (bytes[offset + i] !== 0) return false;
  return bytes[offset + 10] === 0xff && bytes[offset + 11] === 0xff;
}

/** An address range: `bytes` has all bits behind `length` cleared. */
export interface Prefix {
  readonly bytes: Uint8Array;
  /** bits: 0–32 for 4 bytes, 0–128 for 16 */
  readonly length: number;
}

/** `ADDRESS` or `ADDRESS/LENGTH`; host bits are cleared, as `wg` does. Null when it is not one. */
export function parsePrefix(text: string): Prefix | null {
  const slash = text.indexOf('/');
  const bytes = parseIp(slash < 0 ? text : text.slice(0, slash));
  if (bytes === null) return null;
  const bits = bytes.length * 8;
  let length = bits;
  if (slash >= 0) {
    const digits = text.slice(slash + 1);
    if (!/^[0-9]{1,3}$/.test(digits) || Number(digits) > bits) return null;
    length = Number(digits);
  }
  return { bytes: maskBits(bytes, length), length };
}

export function formatPrefix(prefix: Prefix): string {
  return `${formatIp(prefix.bytes)}/${prefix.length}`;
}

/** A copy with all bits behind the first `length` cleared. */
export function maskBits(bytes: Uint8Array, length: number): Uint8Array {
  const out = bytes.slice();
  for (let i = 0; i < out.length; i++) {
    const keep = Math.min(8, Math.max(0, length - 8 * i));
    out[i] = out[i]! & (0xff00 >> keep) & 0xff;
  }
  return out;
}
