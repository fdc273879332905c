/** Numbers of the denial-of-service protection (WireGuard paper §5.3; kernel messages.h, ratelimiter.c). Times in ms. */

/** A secret for making cookies, and so a cookie, is good for this long. */
export const COOKIE_SECRET_MAX_AGE = 120_000;
/** A received cookie is given up this much earlier, because our messages are under way for a while. */
export const COOKIE_SECRET_LATENCY = 5_000;
/** Handshake messages per second that one source gets answered under load … */
export const RATE_PER_SECOND = 20;
/** … and how many of them at once. */
export const RATE_BURST = 5;
/** Sources that are remembered at once, as the kernel has it on a machine with more than 1 GiB. */
export const RATE_SOURCES_MAX = 65_536;
/** A source that has been silent for this long is forgotten; its tokens are full again by then. */
export const RATE_FORGET_AFTER = 1_000;
