/**
 * Captures of bulk traffic, made here: two ends that shake hands with real keys, and genuine transport messages with TCP segments inside, once as records in
 * TCP segments (as tcpdump sees them on a link without offload) and once as UDP datagrams. Nothing is sent anywhere.
 */
import { closeSync, openSync, writeSync, writeFileSync } from 'node:fs';
import { randomBytes } from 'node:crypto';
import { formatKey } from '@wirestream/core/config/key';
import { computeMac1, mac1Key } from '@wirestream/core/cookie/mac';
import { LinkType } from '@wirestream/core/capture/link';
import { PcapWriter } from '@wirestream/core/capture/pcapwriter';
import { Handshake } from '@wirestream/core/noise/handshake';
import { LocalIdentity } from '@wirestream/core/noise/identity';
import { openInitiation } from '@wirestream/core/noise/initiation';
import { tai64n } from '@wirestream/core/noise/tai64n';
import { writeHeader } from '@wirestream/core/stream/header';

/** Packets inside of the usual MTU, bytes, and how they are padded: not past the MTU. */
const MTU = 1420;
const ACK_INSIDE = 64;
/** Bytes of payload in a TCP segment with time stamps on an Ethernet. */
const SEGMENT = 1448;
/** One acknowledgement inside for so many full packets, and one outside for so many segments. */
const ACK_EVERY = 16;
const OUTER_ACK_EVERY = 2;
/** Megabytes between two handshakes. */
const REKEY_MB = 256;
/** The link, bits per second: what the time stamps say. */
const RATE = 1e9;
const BUFFER = 8 << 20;
const MARGIN = 1 << 16;
const ETHERNET = 14;
const PORTS = [48_000, 51_820];

/**
 * @param {'tcp' | 'udp'} carrier
 * @param {{ crypto: import('@wirestream/core/noise/crypto').Crypto, makeSlab: (size: number) => import('@wirestream/core/slab/slab').Slab }} provider
 * @param {string} file what is written
 * @param {number} size how large it becomes, bytes
 * @param {string} keyFile a key log that opens it
 * @returns how many transport messages are in it
 */
export function writeBulk(carrier, { crypto, makeSlab }, file, size, keyFile) {
  const output = new Output(file);
  const [a, b] = [1, 2].map(() => new LocalIdentity(crypto, randomBytes(32)));
  const keyLog = [a, b].map(({ privateKey }) => `LOCAL_STATIC_PRIVATE_KEY = ${formatKey(privateKey)}\n`);
  const [ofA, ofB] = [new Handshake(crypto, a, b.publicKey), new Handshake(crypto, b, a.publicKey)];
  const wire = carrier === 'tcp' ? new TcpWire(output) : new UdpWire(output);
  const room = makeSlab(2048);
  const text = makeSlab(2048);
  let index = 0x10_0000;
  let messages = 0;
  let ciphers = [];
  const indices = [0, 0];
  const counters = [0, 0];

  const shake = () => {
    const ephemerals = [randomBytes(32), randomBytes(32)];
    for (const key of ephemerals) keyLog.push(`LOCAL_EPHEMERAL_PRIVATE_KEY = ${formatKey(key)}\n`);
    [indices[0], indices[1]] = [index++, index++];
    const now = output.microseconds / 1000;
    const initiation = ofA.createInitiation(ephemerals[0], indices[0], tai64n(now));
    sign(crypto, initiation, b.publicKey);
    wire.message(0, initiation);
    const verdict = ofB.consumeInitiation(openInitiation(crypto, b, initiation, 0), now);
    const response = verdict === 'accepted' ? ofB.createResponse(ephemerals[1], indices[1]) : null;
    if (response === null) throw new Error(`the handshake failed: ${verdict}`);
    sign(crypto, response, a.publicKey);
    wire.message(1, response);
    if (!ofA.consumeResponse(response, 0)) throw new Error('the response was not taken');
    const { send, receive } = ofA.deriveKeys();
    ofB.deriveKeys();
    ciphers = [crypto.cipher(send), crypto.cipher(receive)];
    counters.fill(0);
  };
  const data = (side, length) => {
    const { bytes, view } = room;
    view.setUint32(0, 4, true);
    view.setUint32(4, indices[1 - side], true);
    view.setUint32(8, counters[side], true);
    view.setUint32(12, 0, true);
    insideTcp(text, side, length, messages);
    ciphers[side].seal(0, counters[side]++, text, 0, length, room, 16);
    wire.message(side, bytes.subarray(0, 16 + length + 16));
    messages++;
  };

  try {
    wire.begin();
    for (let next = 0; output.size < size;) {
      if (output.size >= next) {
        shake();
        next += REKEY_MB * 1e6;
      }
      for (let i = 0; i < ACK_EVERY; i++) data(0, MTU);
      data(1, ACK_INSIDE);
    }
    wire.end();
  } finally {
    output.close();
  }
  writeFileSync(keyFile, keyLog.join(''), { mode: 0o600 });
  return messages;
}

function sign(crypto, message, receiver) {
  const at = message.length - 32;
  message.set(computeMac1(crypto, mac1Key(crypto, receiver), message, 0, message.length), at);
}

/** A TCP segment inside the tunnel; its bytes do not matter to anybody, its headers do. */
function insideTcp({ bytes, view }, side, length, n) {
  bytes.fill(0, 0, 52);
  bytes[0] = 0x45;
  view.setUint16(2, side === 0 ? length : 52);
  bytes[8] = 64;
  bytes[9] = 6;
  bytes.set(side === 0 ? [10, 0, 0, 1, 10, 0, 0, 2] : [10, 0, 0, 2, 10, 0, 0, 1], 12);
  view.setUint16(20, side === 0 ? 40_000 : 5201);
  view.setUint16(22, side === 0 ? 5201 : 40_000);
  view.setUint32(24, n * 1368);
  bytes[32] = 0x80;
  bytes[33] = 0x10;
}

/** Frames as a capture file, gathered before they are written. */
class Output {
  size = 0;
  microseconds = 1_700_000_000_000_000;
  #buffer = Buffer.alloc(BUFFER);
  #used = 0;
  #file;
  #number = [0, 0];

  constructor(file) {
    this.#file = openSync(file, 'w', 0o600);
    const header = new PcapWriter({ linkType: LinkType.ethernet }).header();
    this.#buffer.set(header);
    this.#used = this.size = header.length;
  }

  /** Room for a frame with an IP packet of that length; the headers up to IP's are filled in. @returns where the IP payload goes */
  frame(side, protocol, length) {
    if (this.#used > BUFFER - MARGIN) this.#flush();
    const b = this.#buffer;
    let at = this.#used;
    this.microseconds += (8e6 * (length + ETHERNET + 24)) / RATE;
    b.writeUInt32LE(Math.floor(this.microseconds / 1e6), at);
    b.writeUInt32LE(Math.floor(this.microseconds % 1e6), at + 4);
    b.writeUInt32LE(length + ETHERNET, at + 8);
    b.writeUInt32LE(length + ETHERNET, at + 12);
    at += 16;
    b.fill(0, at, at + ETHERNET + 20);
    b.writeUInt16BE(0x0800, at + 12);
    at += ETHERNET;
    b[at] = 0x45;
    b.writeUInt16BE(length, at + 2);
    b.writeUInt16BE(this.#number[side]++ & 0xffff, at + 4);
    b.writeUInt16BE(0x4000, at + 6);
    b[at + 8] = 64;
    b[at + 9] = protocol;
    b.set(side === 0 ? [192, 0, 2, 1, 192, 0, 2, 2] : [192, 0, 2, 2, 192, 0, 2, 1], at + 12);
    let sum = 0;
    for (let i = 0; i < 20; i += 2) sum += b.readUInt16BE(at + i);
    while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
    b.writeUInt16BE(~sum & 0xffff, at + 10);
    this.#used += 16 + ETHERNET + length;
    this.size += 16 + ETHERNET + length;
    return at + 20;
  }

  get bytes() {
    return this.#buffer;
  }

  close() {
    this.#flush();
    closeSync(this.#file);
  }

  #flush() {
    for (let at = 0; at < this.#used;) at += writeSync(this.#file, this.#buffer, at, this.#used - at);
    this.#used = 0;
  }
}

const [FIN, SYN, PSH, ACK] = [1, 2, 8, 16];

/** Records in a TCP connection that end 0 dials. */
class TcpWire {
  #sequence = [1000, 2000];
  #waiting = [Buffer.alloc(1 << 16), Buffer.alloc(1 << 16)];
  #waits = [0, 0];
  #segments = 0;
  #output;

  constructor(output) {
    this.#output = output;
  }

  begin() {
    this.#segment(0, SYN, 0);
    this.#segment(1, SYN | ACK, 0);
    this.#segment(0, ACK, 0);
  }

  message(side, message) {
    const waiting = this.#waiting[side];
    writeHeader(waiting, this.#waits[side], message.length);
    waiting.set(message, this.#waits[side] + 8);
    this.#waits[side] += 8 + message.length;
    // What is full goes out; what is small or follows on nothing goes at once.
    while (this.#waits[side] >= SEGMENT) this.#segment(side, ACK, SEGMENT);
    if (message.length < 1000) this.#segment(side, ACK | PSH, this.#waits[side]);
  }

  end() {
    for (const side of [0, 1]) {
      this.#segment(side, ACK | PSH, this.#waits[side]);
      this.#segment(side, ACK | FIN, 0);
    }
  }

  #segment(side, flags, length) {
    const b = this.#output.bytes;
    const at = this.#output.frame(side, 6, 52 + length);
    b.fill(0, at, at + 32);
    b.writeUInt16BE(PORTS[side], at);
    b.writeUInt16BE(PORTS[1 - side], at + 2);
    b.writeUInt32BE(this.#sequence[side], at + 4);
    if ((flags & ACK) !== 0) b.writeUInt32BE(this.#sequence[1 - side], at + 8);
    b[at + 12] = 0x80;
    b[at + 13] = flags;
    b.writeUInt16BE(0xffff, at + 14);
    b.set([1, 1, 8, 10], at + 20);
    const waiting = this.#waiting[side];
    waiting.copy(b, at + 32, 0, length);
    waiting.copyWithin(0, length, this.#waits[side]);
    this.#waits[side] -= length;
    const taken = length + ((flags & (SYN | FIN)) !== 0 ? 1 : 0);
    this.#sequence[side] = (this.#sequence[side] + taken) >>> 0;
    if (length > 0 && ++this.#segments % OUTER_ACK_EVERY === 0) this.#segment(1 - side, ACK, 0);
  }
}

/** Each message in a datagram. */
class UdpWire {
  #output;

  constructor(output) {
    this.#output = output;
  }

  begin() {}

  message(side, message) {
    const b = this.#output.bytes;
    const at = this.#output.frame(side, 17, 28 + message.length);
    b.writeUInt16BE(PORTS[side], at);
    b.writeUInt16BE(PORTS[1 - side], at + 2);
    b.writeUInt16BE(8 + message.length, at + 4);
    // No checksum (RFC 768).
    b.writeUInt16BE(0, at + 6);
    b.set(message, at + 8);
  }

  end() {}
}
