import type { Endpoint } from '../address/endpoint.js';
import type { Slab } from '../slab/slab.js';
import type { Connection } from '../stream/connection.js';
import type { CloseReason } from './driver.js';
import type { DropReason } from './drops.js';
import type { Peer } from './peer.js';

/**
 * Somebody who watches a device: what its carriers carry, the packets inside, and what it decides about them (`capture`). A device without
 * one pays for a comparison with null where messages and packets pass.
 *
 * Nothing here may call back into the device, or keep a slab past the call.
 */
export interface DeviceTap {
  /** whether `keys` is to be called: nobody makes secrets into text for nothing */
  readonly wantsKeys: boolean;
  /**
   * A message of `length` bytes at `offset` came in, over a connection (whose reader says where its record begins) or, where that is null, as a
   * datagram. What is told until `judged` is about this message.
   */
  received(
    now: number,
    connection: Connection | null,
    from: Endpoint,
    slab: Slab,
    offset: number,
    length: number,
  ): void;
  /** … and has been dealt with. */
  judged(): void;
  /** That message is this peer's: it was verified. */
  identified(peer: Peer): void;
  /** The kernel took `length` bytes of a connection's queue: whole records, or parts of them. */
  written(now: number, connection: Connection, slab: Slab, offset: number, length: number): void;
  /** A datagram goes out. @param peer null for a cookie reply */
  datagram(now: number, peer: Peer | null, to: Endpoint, slab: Slab, offset: number, length: number): void;
  /** An inner packet came from our side (`peer`: where it goes, null for nowhere). What is dropped until `judged` is this packet. */
  outgoing(now: number, peer: Peer | null, slab: Slab, offset: number, length: number): void;
  /** An inner packet came from a peer and is delivered to our side. */
  incoming(now: number, peer: Peer, slab: Slab, offset: number, length: number): void;
  /** @param peer null for what belongs to none */
  dropped(peer: Peer | null, reason: DropReason, count: number): void;
  /** Lines of a Wireshark key log for the handshake that begins now. */
  keys(peer: Peer, lines: string): void;
  /** A connection is open: accepted, or our dial succeeded. */
  opened(now: number, connection: Connection): void;
  /** A connection of strangers turned out to be this peer's. */
  promoted(connection: Connection, peer: Peer): void;
  /** The peer's outgoing messages take this connection from now on. */
  activated(now: number, connection: Connection): void;
  /** Where the transport is left to us (`peer.path`): the peer's outgoing messages take another one from now on. */
  moved(now: number, peer: Peer, why: string): void;
  /** A connection is over. @param why as the driver saw it; null when it was closed from here */
  closed(connection: Connection, why: CloseReason | null): void;
}
