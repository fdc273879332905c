import { equalBytes } from '../noise/bytes.js';
import { KEY_LENGTH, MAC_LENGTH, type Crypto } from '../noise/crypto.js';
import { formatKey } from '../config/key.js';
import type { KnownKeys } from './keys.js';

/** Someone whose static public key is known. */
export interface Party {
  readonly publicKey: Uint8Array;
  /** base64 */
  readonly id: string;
  privateKey: Uint8Array | undefined;
  /** what a key source calls it, else the beginning of its key */
  name: string;
  /** key of MAC1 in messages to it, and of the cookies that it sends (WireGuard paper §5.4.4, §5.4.7) */
  readonly mac1Key: Uint8Array;
  readonly cookieKey: Uint8Array;
}

const LABEL_MAC1 = new TextEncoder().encode('mac1----');
const LABEL_COOKIE = new TextEncoder().encode('cookie--');
/** Preshared keys tried for one response; each try costs a few hashes and curve operations. */
const PRESHARED_TRIES = 256;
const NO_PRESHARED_KEY = new Uint8Array(KEY_LENGTH);

/** Parties that no key source names but whose keys initiations gave away: strangers may make up any number. */
const DISCOVERED_MAX = 4096;

/** All keys that are known, found by their public halves. */
export class KeyRing {
  readonly #parties = new Map<string, Party>();
  readonly #discovered = new Map<string, Party>();
  readonly #ephemerals = new Map<string, { privateKey: Uint8Array; presharedKey: Uint8Array | undefined }>();
  readonly #preshared: { readonly key: Uint8Array; readonly peer: string | null }[] = [];

  constructor(private readonly crypto: Crypto) {}

  /** Whether nothing is known that could open anything. */
  get isEmpty(): boolean {
    return this.#parties.size === 0 && this.#ephemerals.size === 0;
  }

  get parties(): Iterable<Party> {
    return this.#parties.values();
  }

  add(keys: KnownKeys): void {
    for (const { privateKey, publicKey, name } of keys.statics) {
      const party = this.party(privateKey === undefined ? publicKey! : this.crypto.publicKey(privateKey));
      party.privateKey ??= privateKey;
      if (name !== undefined) party.name = name;
    }
    for (const { privateKey, presharedKey } of keys.ephemerals) {
      const id = formatKey(this.crypto.publicKey(privateKey));
      const before = this.#ephemerals.get(id);
      if (before === undefined || presharedKey !== undefined) this.#ephemerals.set(id, { privateKey, presharedKey });
    }
    for (const { key, peer } of keys.preshared) {
      if (this.#preshared.some((known) => equalBytes(known.key, 0, key, 0, KEY_LENGTH))) continue;
      this.#preshared.push({ key, peer: peer === undefined ? null : formatKey(peer) });
    }
  }

  /** The party of that static public key, which a key source names. */
  party(publicKey: Uint8Array): Party {
    const id = formatKey(publicKey);
    let party = this.#parties.get(id);
    if (party === undefined) {
      party = this.#discovered.get(id) ?? this.#make(publicKey, id);
      this.#parties.set(id, party);
    }
    return party;
  }

  /** The party of a static public key that was read from an initiation. */
  discovered(publicKey: Uint8Array): Party {
    const id = formatKey(publicKey);
    let party = this.#parties.get(id) ?? this.#discovered.get(id);
    if (party === undefined) {
      party = this.#make(publicKey, id);
      for (const oldest of this.#discovered.keys()) {
        if (this.#discovered.size < DISCOVERED_MAX) break;
        this.#discovered.delete(oldest);
      }
      this.#discovered.set(id, party);
    }
    return party;
  }

  #make(publicKey: Uint8Array, id: string): Party {
    return {
      publicKey,
      id,
      privateKey: undefined,
      name: `${id.slice(0, 4)}…${id.slice(-5, -1)}`,
      mac1Key: this.crypto.hash(LABEL_MAC1, publicKey),
      cookieKey: this.crypto.hash(LABEL_COOKIE, publicKey),
    };
  }

  /** The private half of an ephemeral public key. */
  ephemeral(publicKey: Uint8Array): Uint8Array | undefined {
    return this.#ephemerals.get(formatKey(publicKey))?.privateKey;
  }

  /** To whom a message with MAC1 at `macOffset` is addressed; null when that is nobody known. */
  addressee(bytes: Uint8Array, offset: number, macOffset: number): Party | null {
    const covered = bytes.subarray(offset, macOffset);
    for (const party of this.#parties.values()) {
      if (equalBytes(this.crypto.mac(party.mac1Key, covered), 0, bytes, macOffset, MAC_LENGTH)) return party;
    }
    return null;
  }

  /**
   * Preshared keys that a handshake may have used, likeliest first; no key (all zero) is always one of them.
   * @param ephemerals the two public ephemeral keys
   */
  preshared(initiator: Party | null, responder: Party | null, ephemerals: readonly Uint8Array[]): Uint8Array[] {
    const out: Uint8Array[] = [];
    for (const key of ephemerals) {
      const named = this.#ephemerals.get(formatKey(key))?.presharedKey;
      if (named !== undefined) out.push(named);
    }
    const ofPeers = this.#preshared.filter(
      ({ peer }) => peer !== null && (peer === initiator?.id || peer === responder?.id),
    );
    const others = this.#preshared.filter((entry) => !ofPeers.includes(entry));
    out.push(...ofPeers.map(({ key }) => key), NO_PRESHARED_KEY, ...others.map(({ key }) => key));
    return out.slice(0, PRESHARED_TRIES);
  }

  /**
   * What is known as a Wireshark key log, for a capture's secrets block. A preshared key that no source ties to a handshake goes
   * with all of them when there is no other.
   */
  toKeyLog(): string {
    const lines: string[] = [];
    for (const { privateKey, publicKey } of this.#parties.values()) {
      if (privateKey === undefined) lines.push(`REMOTE_STATIC_PUBLIC_KEY = ${formatKey(publicKey)}`);
      else lines.push(`LOCAL_STATIC_PRIVATE_KEY = ${formatKey(privateKey)}`);
    }
    const only = this.#preshared.length === 1 ? this.#preshared[0]!.key : undefined;
    for (const { privateKey, presharedKey } of this.#ephemerals.values()) {
      lines.push(`LOCAL_EPHEMERAL_PRIVATE_KEY = ${formatKey(privateKey)}`);
      const shared = presharedKey ?? only;
      if (shared !== undefined) lines.push(`PRESHARED_KEY = ${formatKey(shared)}`);
    }
    return lines.map((line) => `${line}\n`).join('');
  }
}
