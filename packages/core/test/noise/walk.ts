import { readFileSync } from 'node:fs';
import { classify } from '../../src/messages/parse.js';

/**
 * The shortest way from a recorded capture to the WireGuard messages in it: no checks, everything in memory. It knows
 * Ethernet, IPv4 and IPv6 without options, UDP, TCP, and records with garbage between them.
 */

const KERNEL = new URL('../../../../fixtures/kernel/', import.meta.url);

interface Side {
  private_key: string;
  public_key: string;
  outer_address: string;
  listen_port: number;
}
export interface Sidecar {
  A: Side;
  B: Side;
  preshared_key: string | null;
  handshake_ephemeral_private_keys: string[];
  derived_from_capture: {
    decryption: { init_ok?: number; resp_ok?: number; data_ok?: number; keepalive?: number; cookie?: number };
    handshake_log: (string | number)[][];
  };
}

export const sidecar = (name: string) => JSON.parse(readFileSync(new URL(`${name}.json`, KERNEL), 'utf8')) as Sidecar;

export interface Seen {
  readonly from: Uint8Array;
  readonly port: number;
  readonly bytes: Uint8Array;
}

/** All messages: over UDP in the order they were seen, over TCP one direction of a connection after the other. */
export function messagesOf(name: string): Seen[] {
  const file = new Uint8Array(readFileSync(new URL(`${name}.pcap`, KERNEL)));
  const view = new DataView(file.buffer, file.byteOffset);
  const out: Seen[] = [];
  const flows = new Map<string, { from: Uint8Array; port: number; start: number; pieces: [number, Uint8Array][] }>();
  for (let at = 24; at < file.length;) {
    const length = view.getUint32(at + 8, true);
    const frame = file.subarray(at + 16, at + 16 + length);
    at += 16 + length;
    const f = new DataView(frame.buffer, frame.byteOffset, frame.length);
    const v4 = f.getUint16(12) === 0x0800;
    if (!v4 && f.getUint16(12) !== 0x86dd) continue;
    const ip = 14;
    const protocol = frame[ip + (v4 ? 9 : 6)];
    const from = v4 ? frame.slice(ip + 12, ip + 16) : frame.slice(ip + 8, ip + 24);
    const end = ip + (v4 ? f.getUint16(ip + 2) : 40 + f.getUint16(ip + 4));
    const l4 = ip + (v4 ? (frame[ip]! & 15) * 4 : 40);
    const port = protocol === 6 || protocol === 17 ? f.getUint16(l4) : 0;
    if (protocol === 17) out.push({ from, port, bytes: frame.slice(l4 + 8, end) });
    if (protocol !== 6) continue;
    const key = `${from} ${frame.subarray(l4, l4 + 4)}`;
    const seq = f.getUint32(l4 + 4);
    if (((frame[l4 + 13]! >> 1) & 1) === 1) flows.set(key, { from, port, start: (seq + 1) >>> 0, pieces: [] });
    const payload = frame.slice(l4 + (frame[l4 + 12]! >> 4) * 4, end);
    const flow = flows.get(key);
    if (payload.length > 0 && flow !== undefined) flow.pieces.push([(seq - flow.start) >>> 0, payload]);
  }
  for (const { from, port, pieces } of flows.values()) {
    const stream = new Uint8Array(pieces.reduce((n, [offset, piece]) => Math.max(n, offset + piece.length), 0));
    for (const [offset, piece] of pieces) stream.set(piece, offset);
    for (const bytes of records(stream)) out.push({ from, port, bytes });
  }
  return out.filter(({ bytes }) => classify(bytes, 0, bytes.length) !== 0);
}

function* records(stream: Uint8Array): Generator<Uint8Array> {
  const view = new DataView(stream.buffer);
  for (let at = 0; at + 8 <= stream.length;) {
    const length = view.getUint32(at);
    const flags = stream[at + 5]!;
    const header = flags & 1 ? 12 : 8;
    let c = ((length >>> 16) ^ (length & 0xffff) ^ ((flags << 8) | stream[at + 4]!)) & 0xffff;
    c = ((c << 5) | (c >>> 11)) & 0xffff;
    const valid =
      (c ^ 0xa5a5) === view.getUint16(at + 6) && stream[at + 4] === 0 && flags <= 1 && length >= header + 32;
    if (!valid || at + length > stream.length) {
      at++;
      continue;
    }
    yield stream.slice(at + header, at + length);
    at += length;
  }
}
