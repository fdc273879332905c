import { writeHeader } from '../../src/stream/header.js';
import { portableCrypto } from '../../src/noise/portable.js';
import { nativeCrypto } from '../../src/noise/native.js';
import { Handshake } from '../../src/noise/handshake.js';
import { LocalIdentity } from '../../src/noise/identity.js';
import { openInitiation } from '../../src/noise/initiation.js';
import { tai64n } from '../../src/noise/tai64n.js';
import { Slab } from '../../src/slab/slab.js';
import type { KnownKeys } from '../../src/capture/keys.js';
import { concat, noise } from './frames.js';

const crypto = nativeCrypto;
const LABEL = new TextEncoder().encode('mac1----');

/** Two ends with fixed keys, and genuine messages between them. */
export class Tunnel {
  readonly a: LocalIdentity;
  readonly b: LocalIdentity;
  readonly ephemerals: Uint8Array[] = [];
  #index = 0x01020304;
  #wallTime = 1_700_000_000_000;
  #ofA: Handshake;
  #ofB: Handshake;

  constructor(
    private readonly seed = 1,
    readonly presharedKey?: Uint8Array,
  ) {
    this.a = new LocalIdentity(crypto, noise(32, seed * 1000 + 1));
    this.b = new LocalIdentity(crypto, noise(32, seed * 1000 + 2));
    this.#ofA = new Handshake(crypto, this.a, this.b.publicKey, presharedKey);
    this.#ofB = new Handshake(crypto, this.b, this.a.publicKey, presharedKey);
    this.#index += seed * 0x10000;
  }

  /** All private keys, ephemeral ones of the handshakes so far included. */
  keys(): KnownKeys {
    return {
      kind: 'key log',
      statics: [
        { privateKey: this.a.privateKey, name: 'A' },
        { privateKey: this.b.privateKey, name: 'B' },
      ],
      ephemerals: this.ephemerals.map((privateKey) => ({ privateKey })),
      preshared: this.presharedKey === undefined ? [] : [{ key: this.presharedKey }],
      listenPorts: [],
      addresses: [],
    };
  }

  /** A handshake begun by A. */
  handshake(): Session {
    const ours = this.#ephemeral();
    const theirs = this.#ephemeral();
    this.#wallTime += 1000;
    const indices = [this.#index++, this.#index++] as const;
    const initiation = this.#ofA.createInitiation(ours, indices[0], tai64n(this.#wallTime))!;
    mac1(initiation, this.b.publicKey);
    const opened = openInitiation(crypto, this.b, initiation, 0)!;
    if (this.#ofB.consumeInitiation(opened, this.#wallTime) !== 'accepted') throw new Error('not accepted');
    const response = this.#ofB.createResponse(theirs, indices[1])!;
    mac1(response, this.a.publicKey);
    if (!this.#ofA.consumeResponse(response, 0)) throw new Error('no response');
    const keys = this.#ofA.deriveKeys()!;
    this.#ofB.deriveKeys();
    return new Session(initiation, response, keys.send, keys.receive, indices);
  }

  #ephemeral(): Uint8Array {
    const key = noise(32, this.seed * 7919 + this.ephemerals.length + 3);
    this.ephemerals.push(key);
    return key;
  }
}

export class Session {
  readonly #ciphers;
  readonly #counters = [0, 0];

  constructor(
    readonly initiation: Uint8Array,
    readonly response: Uint8Array,
    send: Uint8Array,
    receive: Uint8Array,
    private readonly indices: readonly [number, number],
  ) {
    this.#ciphers = [crypto.cipher(send), crypto.cipher(receive)] as const;
  }

  /** The next transport message, or the one with that counter; plaintext is padded to 16. */
  data(from: 'a' | 'b', plaintext: Uint8Array, counter?: number): Uint8Array {
    const side = from === 'a' ? 0 : 1;
    const lo = counter ?? this.#counters[side]!++;
    const padded = concat(plaintext, new Uint8Array(-plaintext.length & 15));
    const slab = Slab.plain(padded.length + 64);
    slab.bytes.set(padded, 32);
    this.#ciphers[side].seal(0, lo, slab, 32, padded.length, slab, 32);
    const header = new DataView(new ArrayBuffer(16));
    header.setUint32(0, 4, true);
    header.setUint32(4, this.indices[side === 0 ? 1 : 0], true);
    header.setUint32(8, lo, true);
    return concat(new Uint8Array(header.buffer), slab.bytes.subarray(32, 32 + padded.length + 16));
  }
}

function mac1(message: Uint8Array, receiver: Uint8Array): void {
  const at = message.length - 32;
  message.set(portableCrypto.mac(portableCrypto.hash(LABEL, receiver), message.subarray(0, at)), at);
}

/** A message as a TCP record. */
export function asRecord(message: Uint8Array): Uint8Array {
  const out = new Uint8Array(8 + message.length);
  writeHeader(out, 0, message.length);
  out.set(message, 8);
  return out;
}
