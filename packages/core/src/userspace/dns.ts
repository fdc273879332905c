/**
 * As much of DNS (RFC 1035) as looking up a host's addresses takes: one question, and the addresses in the answer.
 */

export const DNS_PORT = 53;

const TYPE_A = 1;
const TYPE_AAAA = 28;
const CLASS_IN = 1;
const HEADER = 12;
const FLAG_RECURSION_DESIRED = 0x0100;
const FLAG_RESPONSE = 0x8000;
const FLAG_TRUNCATED = 0x0200;
const RCODE = 0x000f;
const NXDOMAIN = 3;
/** RFC 1035 §2.3.4 */
const NAME_MAX = 253;
const LABEL_MAX = 63;

export interface DnsAnswer {
  /** 4 or 16 bytes each, in the server's order */
  readonly addresses: readonly Uint8Array[];
  /** the answer did not fit into a datagram: ask again over TCP */
  readonly isTruncated: boolean;
  /** the name does not exist; without it, no addresses means none of that family */
  readonly isUnknown: boolean;
  /** the server could not, or would not, answer */
  readonly isFailure: boolean;
}

/** A query for the addresses of one family; null when the name cannot be one. */
export function writeQuery(id: number, name: string, family: 4 | 6): Uint8Array | null {
  const labels = name.replace(/\.$/, '').split('.');
  if (
    name.length > NAME_MAX ||
    labels.some((label) => !/^[\x21-\x7e]{1,63}$/.test(label) || label.length > LABEL_MAX)
  ) {
    return null;
  }
  const question = labels.flatMap((label) => [label.length, ...[...label].map((c) => c.charCodeAt(0))]);
  const type = family === 4 ? TYPE_A : TYPE_AAAA;
  const header = [id >> 8, id & 0xff, FLAG_RECURSION_DESIRED >> 8, 0, 0, 1, 0, 0, 0, 0, 0, 0];
  return Uint8Array.from([...header, ...question, 0, 0, type, 0, CLASS_IN]);
}

/** Reads the answer to a query; null when it is none of it, or damaged. */
export function readAnswer(bytes: Uint8Array, query: Uint8Array): DnsAnswer | null {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  if (bytes.length < query.length || bytes[0] !== query[0] || bytes[1] !== query[1]) return null;
  const flags = view.getUint16(2);
  if ((flags & FLAG_RESPONSE) === 0 || view.getUint16(4) !== 1) return null;
  // The question comes back as it was; case may change on the way (RFC 1035 §2.3.3).
  for (let i = HEADER; i < query.length; i++) if (lower(bytes[i]!) !== lower(query[i]!)) return null;
  const wanted = query[query.length - 3]!;
  const addresses: Uint8Array[] = [];
  let at = query.length;
  for (let n = view.getUint16(6); n > 0; n--) {
    at = skipName(bytes, at);
    if (at < 0 || at + 10 > bytes.length) return null;
    const type = view.getUint16(at);
    const length = view.getUint16(at + 8);
    at += 10;
    if (at + length > bytes.length) return null;
    // Aliases stand before what they lead to; whatever address is in the answer is the name's.
    if (type === wanted && length === (wanted === TYPE_A ? 4 : 16)) addresses.push(bytes.slice(at, at + length));
    at += length;
  }
  const code = flags & RCODE;
  return {
    addresses,
    isTruncated: (flags & FLAG_TRUNCATED) !== 0,
    isUnknown: code === NXDOMAIN,
    isFailure: code !== 0 && code !== NXDOMAIN,
  };
}

/** @returns where the name ends, or -1 */
function skipName(bytes: Uint8Array, from: number): number {
  for (let at = from; at < bytes.length;) {
    const length = bytes[at]!;
    if (length === 0) return at + 1;
    // A pointer ends the name (RFC 1035 §4.1.4).
    if (length >= 0xc0) return at + 2;
    if (length > LABEL_MAX) return -1;
    at += 1 + length;
  }
  return -1;
}

function lower(byte: number): number {
  return byte >= 0x41 && byte <= 0x5a ? byte | 0x20 : byte;
}
