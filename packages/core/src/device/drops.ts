/**
 * Why packets and messages were dropped. Every drop has a reason here and a counter that `show` prints; per device where no peer is known, per
 * peer otherwise.
 */
export const DROP_REASONS = [
  /** inner packet: neither IPv4 nor IPv6, or shorter than its header says */
  'malformed-packet',
  /** inner packet: no peer has its destination in its allowed IPs */
  'no-peer-for-destination',
  /** inner packet: its peer has neither an endpoint nor a connection */
  'no-endpoint',
  /** inner packet: 128 packets are staged already, the oldest made room */
  'staged-overflow',
  /** inner packets: 90 s of handshake attempts went unanswered */
  'handshake-gave-up',
  /** inner packet: the carrier had no room */
  'carrier-full',
  /** record of a connection that has ended: its send queue was full, the oldest data made room */
  'queue-full',
  /** record of a connection that has ended: data that had waited for too long in its send queue */
  'queue-age',
  /** record of a connection that has ended: it was partly written, or no other connection came in time */
  'connection-lost',
  /** message: its type, reserved bytes and length do not go together */
  'malformed-message',
  /** message: MAC1 does not match */
  'bad-mac1',
  /** handshake message: more than 20 a second from that source while under load */
  'rate-limited',
  /** handshake message: under load over UDP; answered with a cookie reply */
  'cookie-sent',
  /** initiation: does not decrypt */
  'bad-initiation',
  /** initiation: from a static key that no peer here has */
  'unknown-peer',
  /** initiation: its timestamp is not newer than the last one's */
  'replayed-initiation',
  /** initiation: less than 20 ms after the last one */
  'initiation-flood',
  /** initiation: crossed with ours, and ours stands */
  'initiation-tie',
  /** response: does not belong to an initiation of ours, or does not verify */
  'bad-response',
  /** cookie reply: does not decrypt */
  'bad-cookie',
  /** data or response: addressed to an index that is not in use */
  'unknown-index',
  /** message: of this peer's, but on a transport or a connection that is not its own */
  'wrong-carrier',
  /** data: the keypair is too old */
  'expired-keypair',
  /** data: does not decrypt */
  'bad-data',
  /** data: counter seen before, or too old */
  'replayed-data',
  /** data: the packet inside is from an address that is not in the peer's allowed IPs */
  'wrong-source',
  /** data: what is inside is not an IP packet */
  'malformed-inner',
  /** offload record: header and packet do not go together, or it is none that may travel so (offload/record.ts) */
  'bad-offload-record',
  /** control message: breaks the rules of control/message.ts */
  'malformed-control',
  /** control message: more of them than a peer may send */
  'control-flood',
  /** data: the TUN had no room */
  'tun-full',
] as const;

export type DropReason = (typeof DROP_REASONS)[number];

/** One counter per reason. */
export class DropCounters {
  /** told of each drop while somebody watches */
  watcher: ((reason: DropReason, count: number) => void) | null = null;
  /** null before the first */
  #counts: Float64Array | null = null;

  count(reason: DropReason, by = 1): void {
    this.#counts ??= new Float64Array(DROP_REASONS.length);
    this.#counts[INDEX[reason]]! += by;
    if (this.watcher !== null) this.watcher(reason, by);
  }

  get(reason: DropReason): number {
    return this.#counts?.[INDEX[reason]] ?? 0;
  }

  /** The reasons that occurred, with how often. */
  snapshot(): Record<string, number> {
    const out: Record<string, number> = {};
    if (this.#counts === null) return out;
    for (const reason of DROP_REASONS) {
      const count = this.get(reason);
      if (count !== 0) out[reason] = count;
    }
    return out;
  }
}

const INDEX = Object.fromEntries(DROP_REASONS.map((reason, i) => [reason, i])) as Record<DropReason, number>;
