import type { Endpoint } from '../address/endpoint.js';
import type { Slab } from '../slab/slab.js';
import type { SlabSource } from '../slab/pool.js';
import type { Connection } from '../stream/connection.js';
import type { Peer } from './peer.js';

/**
 * What the core asks of the world. The driver implements this; the core never calls anything else outside itself.
 * None of these may call back into the device before it returns: a driver that learns something at once (a dial that
 * fails immediately, say) keeps it for its next turn.
 */
export interface Driver {
  /** Slabs for send queues. */
  readonly slabs: SlabSource;
  /** Takes opened inner packets. */
  readonly inner: PacketSink;
  /** Takes messages for UDP, or null where the driver has no UDP sockets. */
  readonly datagrams: DatagramSink | null;
  /** Fills with bytes from a cryptographically secure source (in simulation: a seeded one). */
  random(out: Uint8Array): void;
  /** Wall clock, ms since the Unix epoch: for handshake timestamps and for people, never for intervals. */
  wallTime(): number;
  /**
   * Begins a TCP connection. Afterwards the driver calls exactly one of `device.dialled` and `device.closed`,
   * unless the core closes the connection first.
   */
  dial(connection: Connection, remote: Endpoint): void;
  /** `connection.outbox` has bytes to write; the driver writes at the end of its batch, and later on write space. */
  flush(connection: Connection): void;
  /** Sends FIN after what is already in the socket's buffer, and goes on reading. */
  shutdown(connection: Connection): void;
  /**
   * Ends a connection: with FIN after what is already in the socket's buffer, or with RST when `abort`. The driver makes no more calls for
   * that connection.
   */
  close(connection: Connection, abort: boolean): void;
}

/** Where opened inner packets are laid, so that a message is decrypted straight into what is handed to the TUN. */
export interface PacketSink {
  /** The slab that the last `reserve` was in. */
  readonly slab: Slab;
  /** Room for one packet of up to `length` bytes: an offset into `slab`, or -1 when there is none and the packet is dropped. */
  reserve(length: number): number;
  /**
   * Delivers `length` bytes at `offset` of the last reserved room. Room that is not committed is simply reused. Where a super-packet is cut up, the packets are
   * committed one after the other at rising offsets of one room, and each is laid over the end of the one before.
   */
  commit(offset: number, length: number, from: Peer | null): void;
  /**
   * Delivers a super-packet whole: a virtio-net header that was checked (offload/record.ts), then the packet, `length` bytes in all. Absent where that is not possible.
   * @returns false when it is not possible now: then it is committed packet by packet
   */
  commitSuper?(offset: number, length: number): boolean;
}

/** Where messages for UDP are laid. */
export interface DatagramSink {
  readonly slab: Slab;
  reserve(length: number): number;
  /** @param sender is told when it turns out that the datagram cannot be sent */
  commit(offset: number, length: number, to: Endpoint, sender?: DatagramSender): void;
}

/** Who wants to know of datagrams that were not sent. */
export interface DatagramSender {
  unsent(length: number): void;
}

/** Why a connection ended, as the driver saw it. */
export type CloseReason =
  /** the other end sent FIN */
  | 'eof'
  /** RST on an established connection, or EPIPE */
  | 'reset'
  /** RST in answer to the SYN, or an ICMP error */
  | 'refused'
  /** SYN, user or progress time-out */
  | 'timeout'
  /** no route, no source address, no descriptor left, … */
  | 'error';
