import { FlowKey, destinationOf, sourceOf, type FlowEnd } from './flowkey.js';
import type { IpView } from './ipview.js';
import type { Side } from './connection.js';

/** Flows that are told apart; the one that was silent longest gives way. */
const FLOWS_MAX = 16384;

/** A pair of UDP addresses and ports over which WireGuard messages were seen. */
export class UdpFlow {
  datagrams = 0;

  /** @param id counted from 0 in order of appearance */
  constructor(
    readonly id: number,
    readonly swapped: boolean,
    readonly ends: readonly [FlowEnd, FlowEnd],
  ) {}
}

/** Knows the flows of a capture that carry WireGuard over UDP. */
export class UdpFlowTable {
  count = 0;
  /** of the datagram that `find` was last given: the end that sent it */
  side: Side = 0;
  readonly #key = new FlowKey();
  readonly #flows = new Map<string, UdpFlow>();

  /** The flow of a datagram (IpView.parseUdp has been called). */
  find(view: IpView, bytes: Uint8Array): UdpFlow {
    this.#key.set(view, bytes);
    const { key, swapped } = this.#key;
    let flow = this.#flows.get(key);
    if (flow === undefined) {
      flow = new UdpFlow(this.count++, swapped, [sourceOf(view, bytes), destinationOf(view, bytes)]);
      this.#flows.set(key, flow);
      if (this.#flows.size > FLOWS_MAX)
        for (const oldest of this.#flows.keys()) {
          this.#flows.delete(oldest);
          break;
        }
    }
    flow.datagrams++;
    this.side = swapped === flow.swapped ? 0 : 1;
    return flow;
  }
}
