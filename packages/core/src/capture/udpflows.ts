import { FlowEnd, FlowKey } from './flowkey.js';
import type { IpView } from './ipview.js';
import type { Side } from './connection.js';

/** Flows that are told apart; one that was silent for long gives way. */
const FLOWS_MAX = 16384;

/** A pair of UDP addresses and ports over which WireGuard messages were seen. */
export class UdpFlow {
  datagrams = 0;
  /** whether anything came since it was last looked whether it may give way */
  isRecent = false;
  /** that of the first datagram first */
  readonly ends: readonly [FlowEnd, FlowEnd];

  /** @param id counted from 0 in order of appearance */
  constructor(
    readonly id: number,
    readonly swapped: boolean,
    key: string,
  ) {
    this.ends = [new FlowEnd(key, swapped), new FlowEnd(key, !swapped)];
  }
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
      if (this.#flows.size >= FLOWS_MAX) this.#makeRoom();
      flow = new UdpFlow(this.count++, swapped, key);
      this.#flows.set(key, flow);
    } else flow.isRecent = true;
    flow.datagrams++;
    this.side = swapped === flow.swapped ? 0 : 1;
    return flow;
  }

  /** The oldest goes first, unless it was heard of since it was last its turn: a flood of others must not cost a flow that goes on its number. */
  #makeRoom(): void {
    for (const [key, flow] of this.#flows) {
      this.#flows.delete(key);
      if (!flow.isRecent) return;
      flow.isRecent = false;
      this.#flows.set(key, flow);
    }
  }
}
