/** Times in ms. Those that have no other source are passt's (tcp.c; REFERENCES F.6). */

/** for a connection to come about, on either side */
export const SYN_TIMEOUT = 10_000;
/** before the first SYN or SYN-ACK is repeated; doubles (RFC 6298 §2.1) */
export const SYN_RESEND = 1_000;
/** an acknowledgement that nothing carries is sent after this */
export const ACK_INTERVAL = 10;
/** unacknowledged data is sent again after this, as long as no round trip was measured; afterwards it is the upper bound of the first wait */
export const ACK_TIMEOUT = 2_000;
/** lower bound of the wait (Linux: TCP_RTO_MIN) */
export const ACK_TIMEOUT_MIN = 200;
/** upper bound of the doubled wait (RFC 6298 §2.5 permits 60 s) */
export const ACK_TIMEOUT_MAX = 60_000;
/** times in a row that something is sent again before the flow is reset */
export const RESENDS_MAX = 7;
/** for a flow to end once both sides have said that they are done */
export const FIN_TIMEOUT = 60_000;
/** without any segment or native event */
export const IDLE_TIMEOUT = 7_200_000;
/** the same when the table is full: the idlest flow gives way after this, one at a time with this interval */
export const IDLE_UNDER_PRESSURE = 300_000;
export const RELIEF_INTERVAL = 100;
/** the native side has not taken anything for this long: the window is closed until it does */
export const STALL_TIMEOUT = 100;
/** lower bound between two probes of a closed window */
export const PROBE_MIN = 500;
/** how long a flow that ended in order still answers a repeated FIN, so that its sender does not see a reset (Linux: TCP_TIMEWAIT_LEN) */
export const LINGER = 60_000;
/** More ended flows than these are not kept; they hold no descriptor and no buffer. */
export const LINGERING_MAX = 4_096;

/**
 * A reset is repeated after this, then after twice as long, and so on, so many times: 6 s in all. Nothing acknowledges it; with every tenth packet lost, one of a
 * million resets is.
 */
export const RESET_REPEAT = 200;
export const RESET_REPEATS = 5;
/** More flows than these do not wait to repeat theirs. */
export const RESETTING_MAX = 1_024;

/** Duplicate acknowledgements that mean a loss (passt; RFC 5681 has 3). */
export const DUPLICATES = 2;
/** What is assumed of a SYN without an MSS option (RFC 9293 §3.7.1), and the least that is believed of one with it (Linux: tcp_min_snd_mss is 48). */
export const MSS_DEFAULT = 536;
export const MSS_MIN = 48;
/** Shift of the windows that are advertised: up to 16 MiB (passt: MAX_WS 8). */
export const WINDOW_SCALE = 8;
/** Received bytes that one flow may have waiting for its native side. */
export const RECEIVE_LIMIT = 1 << 20;
/** The same when memory is short; never less, so that no flow stops for ever. */
export const RECEIVE_LIMIT_MIN = 64 * 1024;
/** Bytes read ahead from one native side, between what is unacknowledged and what the window does not let out yet. */
export const SEND_LIMIT = 1 << 20;
export const SEND_LIMIT_MIN = 64 * 1024;
/** Shared by all flows: bytes read ahead. */
export const SEND_BUDGET = 128 << 20;
/** Bytes that one flow sends before the next has its turn. */
export const QUANTUM = 64 * 1024;
