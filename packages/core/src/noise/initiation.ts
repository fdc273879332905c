import {
  INITIATION_EPHEMERAL,
  INITIATION_STATIC,
  INITIATION_TIMESTAMP,
  SEALED_STATIC_LENGTH,
  SEALED_TIMESTAMP_LENGTH,
} from '../messages/constants.js';
import { senderIndex } from '../messages/parse.js';
import { wipe } from './bytes.js';
import { KEY_LENGTH } from './crypto.js';
import type { Crypto } from './crypto.js';
import type { LocalIdentity } from './identity.js';
import { SymmetricState } from './symmetric.js';

/**
 * An initiation after the device's half of consuming it: it says whose it claims to be. Anyone who knows our public key
 * can make one that gets this far; only `Handshake.consumeInitiation` proves who sent it.
 */
export interface OpenedInitiation {
  readonly remoteStatic: Uint8Array;
  readonly remoteEphemeral: Uint8Array;
  readonly senderIndex: number;
  readonly sealedTimestamp: Uint8Array;
  readonly symmetric: SymmetricState;
  /** To be called when it goes nowhere, because no peer has that key; `consumeInitiation` calls it itself. */
  wipe(): void;
}

/**
 * The device's half of taking an initiation: decrypts the sender's static public key (paper §5.4.2).
 * @param bytes holds the 148 bytes of an initiation at `offset`; MAC1 has been checked
 * @returns null when it was not made for our key, or its ephemeral key is a low-order point
 */
export function openInitiation(
  crypto: Crypto,
  local: LocalIdentity,
  bytes: Uint8Array,
  offset: number,
): OpenedInitiation | null {
  const field = (at: number, length: number) => bytes.slice(offset + at, offset + at + length);
  const remoteEphemeral = field(INITIATION_EPHEMERAL, KEY_LENGTH);
  const secret = crypto.sharedSecret(local.privateKey, remoteEphemeral);
  if (secret === null) return null;
  const symmetric = SymmetricState.begin(crypto, local.publicKey);
  symmetric.mixEphemeral(remoteEphemeral);
  const key = symmetric.mixKey(secret);
  wipe(secret);
  const remoteStatic = symmetric.decryptAndHash(key, field(INITIATION_STATIC, SEALED_STATIC_LENGTH));
  if (remoteStatic === null) {
    symmetric.wipe();
    return null;
  }
  return {
    remoteStatic,
    remoteEphemeral,
    senderIndex: senderIndex(bytes, offset),
    sealedTimestamp: field(INITIATION_TIMESTAMP, SEALED_TIMESTAMP_LENGTH),
    symmetric,
    wipe: () => symmetric.wipe(),
  };
}
