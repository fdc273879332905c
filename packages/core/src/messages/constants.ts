/**
 * The four messages of WireGuard: types, sizes and where their fields lie (WireGuard paper §5.4, kernel messages.h).
 * All integers are little-endian. Offsets count from the first byte of the message, the type byte.
 */

/** What a message is; `invalid` is not a type on the wire. */
export const MessageType = {
  invalid: 0,
  initiation: 1,
  response: 2,
  cookieReply: 3,
  transport: 4,
} as const;
export type MessageType = (typeof MessageType)[keyof typeof MessageType];

/** type, 3 zero bytes, sender, ephemeral 32, static 32 + tag 16, timestamp 12 + tag 16, mac1 16, mac2 16 (§5.4.2) */
export const INITIATION_LENGTH = 148;
/** type, 3 zero bytes, sender, receiver, ephemeral 32, nothing + tag 16, mac1 16, mac2 16 (§5.4.3) */
export const RESPONSE_LENGTH = 92;
/** type, 3 zero bytes, receiver, nonce 24, cookie 16 + tag 16 (§5.4.7) */
export const COOKIE_REPLY_LENGTH = 64;
/** type, 3 zero bytes, receiver, counter 8; the sealed packet follows (§5.4.6) */
export const TRANSPORT_HEADER_LENGTH = 16;
/** A transport message around an empty packet: a keepalive. */
export const TRANSPORT_MIN_LENGTH = 32;
/** What a transport message is longer than the packet in it: header and tag. */
export const TRANSPORT_OVERHEAD = 32;

export const INITIATION_SENDER = 4;
export const INITIATION_EPHEMERAL = 8;
export const INITIATION_STATIC = 40;
export const INITIATION_TIMESTAMP = 88;
export const INITIATION_MAC1 = 116;
export const INITIATION_MAC2 = 132;

export const RESPONSE_SENDER = 4;
export const RESPONSE_RECEIVER = 8;
export const RESPONSE_EPHEMERAL = 12;
export const RESPONSE_NOTHING = 44;
export const RESPONSE_MAC1 = 60;
export const RESPONSE_MAC2 = 76;

export const COOKIE_REPLY_RECEIVER = 4;
export const COOKIE_REPLY_NONCE = 8;
export const COOKIE_REPLY_COOKIE = 32;

export const TRANSPORT_RECEIVER = 4;
export const TRANSPORT_COUNTER = 8;

/** Bytes of a public key with its tag, as an initiation carries it. */
export const SEALED_STATIC_LENGTH = 48;
/** Bytes of a TAI64N timestamp (cr.yp.to/libtai/tai64.html). */
export const TIMESTAMP_LENGTH = 12;
/** Bytes of a timestamp with its tag. */
export const SEALED_TIMESTAMP_LENGTH = 28;
/** Bytes of a cookie with its tag. */
export const SEALED_COOKIE_LENGTH = 32;

/** Packets are padded to a multiple of this before they are sealed (§5.4.6). */
export const PADDING_MULTIPLE = 16;
