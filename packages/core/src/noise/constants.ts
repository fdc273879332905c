/** Numbers of the Noise handshake and of the keys that it yields. Times are in milliseconds. */

/** Name of the Noise protocol (WireGuard paper §5.4). */
export const CONSTRUCTION = 'Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s';
/** Identifier that is mixed into every handshake (§5.4). */
export const IDENTIFIER = 'WireGuard v1 zx2c4 Jason@zx2c4.com';

/** The initiator starts a new handshake at the first message after this (§6.1). */
export const REKEY_AFTER_TIME = 120_000;
/** Nothing is sent or accepted under a keypair older than this (§6.1). */
export const REJECT_AFTER_TIME = 180_000;
/** An unanswered initiation is repeated after this, plus jitter (§6.1). */
export const REKEY_TIMEOUT = 5_000;
/** Repeating stops after this (§6.1). */
export const REKEY_ATTEMPT_TIME = 90_000;
/** A passive keepalive answers data after this much silence (§6.1). */
export const KEEPALIVE_TIMEOUT = 10_000;
/** Keys and handshake state are forgotten after this without a new session (§6.3; kernel timers.c). */
export const WIPE_AFTER_TIME = 3 * REJECT_AFTER_TIME;

/** 2^60 messages under one keypair start a new handshake (§6.1). Upper half of the counter; the lower half is 0. */
export const REKEY_AFTER_MESSAGES_HI = 0x10000000;
/** 2^64 − 2^13 − 1 messages end a keypair (§6.1): the upper half of that … */
export const REJECT_AFTER_MESSAGES_HI = 0xffffffff;
/** … and the lower half. */
export const REJECT_AFTER_MESSAGES_LO = 0xffffdfff;

/** Initiations that one peer may have accepted per second (kernel messages.h). */
export const INITIATIONS_PER_SECOND = 50;
/** Least time between two accepted initiations of one peer. */
export const INITIATION_INTERVAL = 1000 / INITIATIONS_PER_SECOND;
