import type { Endpoint } from '../address/endpoint.js';
import type { Slab } from '../slab/slab.js';
import type { RecordKind } from './outbox.js';

/**
 * One path that carries messages to a peer: a TCP connection, or a UDP socket and an address. Whoever sends reserves room,
 * writes the message into it, and commits.
 */
export interface Carrier {
  readonly transport: 'tcp' | 'udp';
  /** the other end's address on this path */
  readonly remote: Endpoint;
  /** the slab that the last `reserve` was in */
  readonly slab: Slab;
  /**
   * Room for a message of `messageLength` bytes.
   * @param identification the inner IPv4 packet's identification field when it is a fragment, else -1
   * @param fragment its flags and fragment offset field
   * @returns the message's offset in `slab`, or -1 when the message must be dropped
   */
  reserve(messageLength: number, identification?: number, fragment?: number): number;
  /** Sends what was written into the reserved room. @param now ms */
  commit(kind: RecordKind, now: number): void;
}
