import type { TcpFlow } from './tcp/flow.js';
import type { UdpFlow } from './udp/flow.js';
import type { Slab } from '../slab/slab.js';

/**
 * What the stack asks of the world outside the tunnel. None of these calls back into the stack before it returns; what is learned
 * at once is kept for the next turn.
 */

/** Where a flow goes outside the tunnel. */
export type Target =
  | { readonly kind: 'address'; readonly host: string; readonly port: number }
  /** something in this program that accepts flows */
  | { readonly kind: 'listener'; readonly listener: unknown };

/** The native side of a TCP flow: a socket, or a stream of this program. */
export interface NativeStream {
  /** Writes. The bytes stay as they are until `TcpFlows.taken` has counted them. */
  write(bytes: Uint8Array): void;
  /** Ends the writing direction, behind what was written. */
  end(): void;
  /** Ends both directions at once, with RST where there is one. No events afterwards. */
  reset(): void;
  /** Both directions are done; the native side may go once it has delivered what was written. No events afterwards. */
  close(): void;
  /** Stops and starts reading. A native side that was there before its flow begins paused. */
  pause(): void;
  resume(): void;
  /** The inner connection is up. If the native side began paused, `resume` follows. */
  established(): void;
  /** Of a flow that began on the native side: there will be no inner connection. Instead of `reset`. */
  failed(reason: ConnectFailure): void;
}

/** Why a connection into the tunnel, or out of it, did not come about. */
export type ConnectFailure = 'refused' | 'unreachable' | 'prohibited' | 'timeout' | 'no-resources';

/** The native side of a UDP flow. */
export interface NativeDatagrams {
  /** Sends one datagram; the bytes are the caller's again afterwards. */
  send(bytes: Uint8Array): void;
  close(): void;
}

/** The way to one peer. */
export interface Path {
  /** Bytes of packets that may be sent now before the carrier's queue would have to drop some; may be negative. */
  room(): number;
  /** Whether a super-packet may go to the peer as one message now (docs/offload-records.md). Absent: never. */
  takesSuper?(): boolean;
}

export interface StackHost {
  /** Sends an inner packet of `length` bytes at `offset`; up to 15 bytes behind it may be overwritten. */
  send(slab: Slab, offset: number, length: number): void;
  /**
   * Sends a super-packet of TCP: a virtio-net header at `offset`, then the packet, `length` bytes in all; up to 15 bytes behind it may be overwritten. Asked only
   * after the path said that it takes them.
   * @returns false when it does not after all, with nothing sent
   */
  sendSuper?(slab: Slab, offset: number, length: number): boolean;
  /** The way to an address inside the tunnel, or null when no peer has it. */
  path(address: Uint8Array): Path | null;
  /** Fills with bytes from a cryptographically secure source. */
  random(out: Uint8Array): void;
  openStream(flow: TcpFlow, target: Target): NativeStream;
  openDatagrams(flow: UdpFlow, target: Target): NativeDatagrams | null;
  /**
   * Asks an address outside the tunnel for an echo with so many bytes of data, and calls `answered`, in a turn, when it came.
   * @returns false when this host cannot do that, or has too many such requests waiting
   */
  echo(destination: Uint8Array, dataLength: number, answered: () => void): boolean;
}
