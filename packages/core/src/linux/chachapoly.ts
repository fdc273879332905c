import koffi from 'koffi';
import { KEY_LENGTH, TAG_LENGTH, type TransportCipher } from '../noise/crypto.js';
import type { Slab } from '../slab/slab.js';
import { CallList, functionAddress } from './calllist.js';
import { nativeSlab } from './nativeslab.js';

/**
 * ChaCha20-Poly1305 (RFC 8439 §2.8) put together from the two functions of Node's own OpenSSL, each in its version for the processor at hand.
 *
 * What EVP does around them (evp.ts) takes a third of the time that a full-size message needs, as do the calls from JavaScript: here a message is
 * one call, of a list (calllist.ts). The functions are not part of OpenSSL's documented interface, though unchanged since 1.1.0, and Node
 * shows them: with another major version than 3, or where they are missing, or where the self-test fails, EVP is used (choosecrypto.ts).
 *
 * All ciphers of a thread share one list and one piece of memory, for nothing here lasts longer than a call; each lays its key down first.
 */

/** Bytes of a ChaCha20 block; the first one's keystream gives the Poly1305 key (RFC 8439 §2.6). */
const BLOCK = 64;
/** `struct poly1305_context`: 248 bytes on x86-64; asked for below */
const CONTEXT_MAX = 1024;

/** Places in `memory`, bytes. */
const KEY = 0;
/** Counter and nonce of block 0, which gives the Poly1305 key, and of block 1, where the text begins: four words each. */
const FIRST = 32;
const TEXT = 48;
const ZEROS = 64;
const ONE_TIME = 128;
/** up to 15 bytes of padding, then the lengths of associated data, which there are none of, and of the text: 64 bits each */
const PADDING = 192;
const LENGTHS = 208;
const TAG = 224;
const CONTEXT = 256;

/** A list, and where in it the arguments are that change. */
interface Calls {
  readonly list: CallList;
  readonly to: number;
  readonly from: number;
  readonly length: number;
  readonly encrypted: number;
  readonly encryptedLength: number;
  readonly rest: number;
  readonly restLength: number;
  readonly tag: number;
}

/** What all ciphers of a thread work with. */
class Workbench {
  readonly #memory = nativeSlab(CONTEXT + CONTEXT_MAX);
  readonly #words = new Uint32Array(this.#memory.bytes.buffer);
  readonly #padding = this.#at(PADDING, TAG - PADDING);
  readonly #sealing: Calls;
  readonly #opening: Calls;

  /** @throws Error where it cannot work */
  constructor() {
    const { openssl } = process.versions;
    if (!openssl.startsWith('3.')) throw new Error(`OpenSSL ${openssl} is not known well enough`);
    const contextSize = koffi.load(null).func('size_t Poly1305_ctx_size(void)')() as number;
    if (!(contextSize > 0 && contextSize <= CONTEXT_MAX)) throw new Error(`a Poly1305 context of ${contextSize} bytes`);
    this.#words[TEXT / 4] = 1;
    this.#sealing = this.#calls(true);
    this.#opening = this.#calls(false);
  }

  /** The text is authenticated as it is when encrypted: after encryption, and before decryption (which may be in place). */
  #calls(sealing: boolean): Calls {
    const list = new CallList(6);
    const context = this.#at(CONTEXT, CONTEXT_MAX);
    const key = this.#at(KEY, KEY_LENGTH);
    const chacha = functionAddress('ChaCha20_ctr32');
    const update = functionAddress('Poly1305_Update');
    const crypt = (): number => list.add(chacha, 0, 0, 0, key, this.#at(TEXT, 16));
    list.add(chacha, this.#at(ONE_TIME, BLOCK), this.#at(ZEROS, BLOCK), BLOCK, key, this.#at(FIRST, 16));
    list.add(functionAddress('Poly1305_Init'), context, this.#at(ONE_TIME, BLOCK));
    const before = sealing ? crypt() : -1;
    const text = list.add(update, context, 0, 0);
    const rest = list.add(update, context, 0, 0);
    const tag = list.add(functionAddress('Poly1305_Final'), context, this.#at(TAG, TAG_LENGTH));
    const cipher = sealing ? before : crypt();
    return {
      list,
      to: list.argument(cipher, 0),
      from: list.argument(cipher, 1),
      length: list.argument(cipher, 2),
      encrypted: list.argument(text, 1),
      encryptedLength: list.argument(text, 2),
      rest: list.argument(rest, 1),
      restLength: list.argument(rest, 2),
      tag: list.argument(tag, 1),
    };
  }

  seal(key: Uint32Array, hi: number, lo: number, from: number, length: number, to: number): void {
    const calls = this.#sealing;
    calls.list.set(calls.tag, to + length);
    this.#run(calls, key, hi, lo, from, length, to, to);
  }

  /** @returns whether the 16 bytes at src[tag] are the right ones */
  open(
    key: Uint32Array,
    hi: number,
    lo: number,
    from: number,
    length: number,
    to: number,
    src: Slab,
    tag: number,
  ): boolean {
    // The tag is read first: decryption may be to where it lies.
    const { view } = src;
    const a = view.getInt32(tag, true);
    const b = view.getInt32(tag + 4, true);
    const c = view.getInt32(tag + 8, true);
    const d = view.getInt32(tag + 12, true);
    this.#run(this.#opening, key, hi, lo, from, length, to, from);
    const words = this.#words;
    const at = TAG / 4;
    // In the same time wherever they differ.
    return ((a ^ words[at]!) | (b ^ words[at + 1]!) | (c ^ words[at + 2]!) | (d ^ words[at + 3]!)) === 0;
  }

  /** @param encrypted where the text lies in its encrypted form when it is authenticated */
  #run(
    calls: Calls,
    key: Uint32Array,
    hi: number,
    lo: number,
    from: number,
    length: number,
    to: number,
    encrypted: number,
  ): void {
    const words = this.#words;
    for (let i = 0; i < 8; i++) words[KEY / 4 + i] = key[i]!;
    words[FIRST / 4 + 2] = words[TEXT / 4 + 2] = lo;
    words[FIRST / 4 + 3] = words[TEXT / 4 + 3] = hi;
    words[LENGTHS / 4 + 2] = length;
    const { list } = calls;
    list.set(calls.to, to);
    list.set(calls.from, from);
    list.set(calls.length, length);
    list.set(calls.encrypted, encrypted);
    list.set(calls.encryptedLength, length);
    const padding = -length & 15;
    list.set(calls.rest, this.#padding + 16 - padding);
    list.set(calls.restLength, padding + 16);
    list.run();
  }

  /** Forgets the last key used, and what followed from it. */
  wipe(): void {
    this.#words.fill(0, KEY / 4, FIRST / 4);
    this.#words.fill(0, ONE_TIME / 4, PADDING / 4);
    this.#words.fill(0, CONTEXT / 4);
  }

  #at(offset: number, length: number): number {
    return this.#memory.at(offset, length);
  }
}

let workbench: Workbench | null = null;

/** One direction's transport key. */
export class ChaChaPolyCipher implements TransportCipher {
  readonly #bench: Workbench;
  #key: Uint32Array | null;

  /** @throws Error where the functions or call lists are not to be had */
  constructor(key: Uint8Array) {
    if (key.length !== KEY_LENGTH) throw new RangeError(`a key has ${KEY_LENGTH} bytes, not ${key.length}`);
    this.#bench = workbench ??= new Workbench();
    this.#key = new Uint32Array(key.slice().buffer);
  }

  seal(hi: number, lo: number, src: Slab, srcOffset: number, length: number, dst: Slab, dstOffset: number): void {
    const from = src.at(srcOffset, length);
    const to = dst.at(dstOffset, length + TAG_LENGTH);
    this.#bench.seal(this.#usable(), hi, lo, from, length, to);
  }

  open(hi: number, lo: number, src: Slab, srcOffset: number, length: number, dst: Slab, dstOffset: number): boolean {
    const plain = length - TAG_LENGTH;
    if (plain < 0) return false;
    const from = src.at(srcOffset, length);
    const to = dst.at(dstOffset, plain);
    return this.#bench.open(this.#usable(), hi, lo, from, plain, to, src, srcOffset + plain);
  }

  wipe(): void {
    this.#key?.fill(0);
    this.#key = null;
    this.#bench.wipe();
  }

  #usable(): Uint32Array {
    if (this.#key === null) throw new Error('the key has been wiped');
    return this.#key;
  }
}
