/**
 * IP addresses between their text form and their bytes. IPv6 text follows RFC 4291 §2.2 on the way in and RFC 5952 §4 on
 * the way out, so that one address has one text and texts can be compared.
 */

/** 4 or 16 bytes of a dotted or colon form; null when the text is neither. Zone suffixes are not part of an address. */
export function parseIp(text: string): Uint8Array | null {
  return text.includes(':') ? parseIpv6(text) : parseIpv4(text);
}

function parseIpv4(text: string): Uint8Array | null {
  const parts = text.split('.');
  if (parts.length !== 4) return null;
  const out = new Uint8Array(4);
  for (let i = 0; i < 4; i++) {
    const part = parts[i]!;
    if (!/^(0|[1-9][0-9]{0,2})$/.test(part) || Number(part) > 255) return null;
    out[i] = Number(part);
  }
  return out;
}

function parseIpv6(text: string): Uint8Array | null {
  const halves = text.split('::');
  if (halves.length > 2) return null;
  const head = groups(halves[0]!, halves.length === 1);
  const tail = halves.length === 2 ? groups(halves[1]!, true) : [];
  if (head === null || tail === null) return null;
  const missing = 8 - head.length - tail.length;
  if (halves.length === 2 ? missing < 1 : missing !== 0) return null;
  const words = [...head, ...new Array<number>(halves.length === 2 ? missing : 0).fill(0), ...tail];
  const out = new Uint8Array(16);
  words.forEach((word, i) => {
    out[2 * i] = word >> 8;
    out[2 * i + 1] = word & 0xff;
  });
  return out;
}

/** The 16-bit groups of one side of '::'; the last one may be a dotted IPv4 address where `mayEndDotted`. */
function groups(text: string, mayEndDotted: boolean): number[] | null {
  if (text === '') return [];
  const out: number[] = [];
  const parts = text.split(':');
  for (const [i, part] of parts.entries()) {
    if (mayEndDotted && i === parts.length - 1 && part.includes('.')) {
      const v4 = parseIpv4(part);
      if (v4 === null) return null;
      out.push((v4[0]! << 8) | v4[1]!, (v4[2]! << 8) | v4[3]!);
    } else {
      if (!/^[0-9a-fA-F]{1,4}$/.test(part)) return null;
      out.push(parseInt(part, 16));
    }
  }
  return out;
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
