import type { Peer } from '../../device/peer.js';
import type { Connection } from '../../stream/connection.js';
import { OFFLOAD_PLAINTEXT_MAX } from '../../offload/record.js';
import type { Path } from '../../userspace/native.js';

/** Bytes that flows may put into a carrier's queue, well below its own bound, so that nothing has to be dropped. */
const QUEUE_BYTES = 192 * 1024;
/** The same in records: small ones fill the queue's other bound. */
const QUEUE_RECORDS = 384;
/** A queue whose oldest record has waited this long, ms, is long enough: more would only be delay. */
const QUEUE_AGE = 20;
/** What a peer without a path stages (128 packets, of which handshakes and others want some). */
const STAGED_BYTES = 16 * 1024;
/** What is asked about when nobody knows yet how long the super-packet will be: one that is as long as can be. */
const SUPER_PACKET = OFFLOAD_PLAINTEXT_MAX;
/** Bytes for a UDP carrier per turn: about what a socket buffer holds by default (Linux: net.core.wmem_default). */
const TURN_BYTES = 128 * 1024;

/** What the driver's turn has sent so far. */
export interface TurnMeter {
  /** ms, when the turn began */
  now: number;
  /** bytes of inner packets */
  bytes: number;
}

/** The way to one peer. */
export class PeerPath implements Path {
  constructor(
    private readonly peer: Peer,
    private readonly turn: TurnMeter,
  ) {}

  takesSuper(): boolean {
    return this.peer.takesOffload(this.turn.now, SUPER_PACKET);
  }

  room(): number {
    const { carrier } = this.peer;
    if (carrier === null || this.peer.keypairs.current === null) return STAGED_BYTES - this.turn.bytes;
    if (carrier.transport === 'udp') return TURN_BYTES - this.turn.bytes;
    const { outbox } = carrier as Connection;
    if (outbox.isEmpty) return QUEUE_BYTES;
    if (outbox.queuedRecords >= QUEUE_RECORDS || this.turn.now - outbox.oldest > QUEUE_AGE) return 0;
    return QUEUE_BYTES - outbox.queuedBytes;
  }
}
