import type { Endpoint } from '../address/endpoint.js';
import type { Slab } from '../slab/slab.js';
import type { Carrier } from '../stream/carrier.js';
import type { RecordKind } from '../stream/outbox.js';
import type { DatagramSender, DatagramSink } from './driver.js';
import type { Peer } from './peer.js';

/** A UDP socket and an address: the stock carrier. One per peer; its address follows the peer (roaming, paper §2.1). */
export class DatagramCarrier implements Carrier, DatagramSender {
  readonly transport = 'udp';
  /** bytes of messages that the sockets could not send: committed, but in no packet */
  unsentBytes = 0;
  #offset = 0;
  #length = 0;

  constructor(
    private readonly peer: Peer,
    private readonly sink: DatagramSink,
    public remote: Endpoint,
  ) {}

  get slab(): Slab {
    return this.sink.slab;
  }

  reserve(messageLength: number): number {
    this.#offset = this.sink.reserve(messageLength);
    this.#length = messageLength;
    return this.#offset;
  }

  commit(_kind: RecordKind, now: number): void {
    const { tap } = this.peer.device;
    if (tap !== null) {
      tap.datagram(now, this.peer, this.remote, this.sink.slab, this.#offset, this.#length);
    }
    this.sink.commit(this.#offset, this.#length, this.remote, this);
  }

  unsent(length: number): void {
    this.unsentBytes += length;
  }
}
