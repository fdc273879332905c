import { formatIp, parseIp } from '../address/ip.js';
import type { HostPort } from './forward.js';
import type { ConnectFailure } from './native.js';

/**
 * SOCKS version 5 (RFC 1928), the server's side, as bytes in and bytes out.
 *
 * Theory of operation. `Socks5Server` is fed what the client sends; it says what to answer, and in the end what the client wants, or that the
 * conversation is over. Only "no authentication" is offered: whoever reaches the proxy's port may use it, which is why it listens on loopback
 * unless told otherwise.
 */

const VERSION = 5;
const NO_AUTHENTICATION = 0;
const NO_METHOD = 0xff;

const ATYP_IPV4 = 1;
const ATYP_NAME = 3;
const ATYP_IPV6 = 4;

/** Reply codes (RFC 1928 §6). */
export const Reply = {
  succeeded: 0,
  failure: 1,
  notAllowed: 2,
  networkUnreachable: 3,
  hostUnreachable: 4,
  refused: 5,
  expired: 6,
  unknownCommand: 7,
  unknownAddressType: 8,
} as const;

const REPLIES: Record<ConnectFailure, number> = {
  refused: Reply.refused,
  unreachable: Reply.hostUnreachable,
  prohibited: Reply.notAllowed,
  timeout: Reply.expired,
  'no-resources': Reply.failure,
};

/** Longest greeting and longest request: 2 + 255 methods, 4 + 1 + 255 + 2 bytes. */
const MESSAGE_MAX = 262;

export type Socks5Command = 'connect' | 'associate';

export interface Socks5Request {
  readonly command: Socks5Command;
  readonly destination: HostPort;
}

/** What feeding led to. */
export interface Socks5Step {
  /** bytes for the client */
  readonly answer: Uint8Array | null;
  readonly request: Socks5Request | null;
  /** the connection is to be closed behind the answer */
  readonly isOver: boolean;
}

const MORE: Socks5Step = { answer: null, request: null, isOver: false };

export class Socks5Server {
  #bytes = new Uint8Array(0);
  #greeted = false;

  /** What the client sent beyond its request: the first data of the connection. */
  get rest(): Uint8Array {
    return this.#bytes;
  }

  /** Takes what the client sent. Not to be called again once there was a request or it was over. */
  feed(bytes: Uint8Array): Socks5Step {
    const all = new Uint8Array(this.#bytes.length + bytes.length);
    all.set(this.#bytes);
    all.set(bytes, this.#bytes.length);
    this.#bytes = all;
    let answer: Uint8Array | null = null;
    if (!this.#greeted) {
      const step = this.#greeting();
      if (!this.#greeted) return step;
      answer = step.answer;
    }
    const step = this.#request();
    return answer === null ? step : { ...step, answer: join(answer, step.answer) };
  }

  #greeting(): Socks5Step {
    const bytes = this.#bytes;
    if (bytes.length > 0 && bytes[0] !== VERSION) return over(null);
    if (bytes.length < 2 || bytes.length < 2 + bytes[1]!) return MORE;
    const end = 2 + bytes[1]!;
    const methods = bytes.subarray(2, end);
    if (!methods.includes(NO_AUTHENTICATION)) return over(Uint8Array.of(VERSION, NO_METHOD));
    this.#bytes = bytes.subarray(end);
    this.#greeted = true;
    return { ...MORE, answer: Uint8Array.of(VERSION, NO_AUTHENTICATION) };
  }

  #request(): Socks5Step {
    const bytes = this.#bytes;
    if (bytes.length > 0 && bytes[0] !== VERSION) return over(null);
    if (bytes.length < 4) return MORE;
    const command = bytes[1] === 1 ? 'connect' : bytes[1] === 3 ? 'associate' : null;
    if (command === null) return over(reply(Reply.unknownCommand));
    const address = readAddress(bytes, 3);
    if (address === 'unknown') return over(reply(Reply.unknownAddressType));
    if (address === 'short') return bytes.length > MESSAGE_MAX ? over(reply(Reply.failure)) : MORE;
    this.#bytes = bytes.subarray(address.end);
    return { answer: null, request: { command, destination: address.at }, isOver: false };
  }
}

function over(answer: Uint8Array | null): Socks5Step {
  return { answer, request: null, isOver: true };
}

/** A reply with the address that the proxy uses for the client, 0.0.0.0:0 when there is none. */
export function reply(code: number, bound: HostPort = { host: '0.0.0.0', port: 0 }): Uint8Array {
  return join(Uint8Array.of(VERSION, code, 0), writeAddress(bound));
}

export function replyFor(failure: ConnectFailure): Uint8Array {
  return reply(REPLIES[failure]);
}

/** A datagram of a client's as it comes to the relay (RFC 1928 §7). */
export interface Socks5Datagram {
  readonly destination: HostPort;
  readonly data: Uint8Array;
}

/** @returns null when it is none, or a fragment, which RFC 1928 §7 lets a relay drop */
export function readDatagram(bytes: Uint8Array): Socks5Datagram | null {
  if (bytes.length < 4 || bytes[0] !== 0 || bytes[1] !== 0 || bytes[2] !== 0) return null;
  const address = readAddress(bytes, 3);
  return typeof address === 'string' ? null : { destination: address.at, data: bytes.subarray(address.end) };
}

export function writeDatagram(source: HostPort, data: Uint8Array): Uint8Array {
  return join(Uint8Array.of(0, 0, 0), join(writeAddress(source), data));
}

function readAddress(bytes: Uint8Array, at: number): { at: HostPort; end: number } | 'short' | 'unknown' {
  const type = bytes[at];
  let from = at + 1;
  let length: number;
  if (type === ATYP_IPV4) length = 4;
  else if (type === ATYP_IPV6) length = 16;
  else if (type === ATYP_NAME) {
    if (from >= bytes.length) return 'short';
    length = bytes[from++]!;
  } else return 'unknown';
  const end = from + length + 2;
  if (end > bytes.length) return 'short';
  const host = bytes.subarray(from, from + length);
  const port = (bytes[end - 2]! << 8) | bytes[end - 1]!;
  const text = type === ATYP_NAME ? String.fromCharCode(...host) : formatIp(host);
  return { at: { host: text, port }, end };
}

function writeAddress({ host, port }: HostPort): Uint8Array {
  const ip = parseIp(host) ?? new Uint8Array(4);
  return Uint8Array.of(ip.length === 4 ? ATYP_IPV4 : ATYP_IPV6, ...ip, port >> 8, port & 0xff);
}

function join(a: Uint8Array, b: Uint8Array | null): Uint8Array {
  if (b === null) return a;
  const out = new Uint8Array(a.length + b.length);
  out.set(a);
  out.set(b, a.length);
  return out;
}
