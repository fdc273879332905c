import { RESET_REPEAT, RESET_REPEATS, RESETTING_MAX } from './constants.js';
import { Phase, type TcpFlow } from './flow.js';

/**
 * Flows that were reset, kept for a few seconds to say so again. Nothing acknowledges a reset, and a peer that has nothing to send would never
 * find out that one was lost: over UDP on its way, over TCP in a queue that was too long or too old. Whoever got the first one takes the others for what they are,
 * segments of a flow that there is not, and says nothing.
 */
export class Resets {
  readonly #flows = new Set<TcpFlow>();

  /** The flow is over, and out of everything else. @param forget is called with the oldest when there are too many */
  add(flow: TcpFlow, forget: (oldest: TcpFlow) => void): void {
    flow.phase = Phase.resetting;
    flow.backoff = 0;
    flow.resendAt = flow.ackAt = flow.stallAt = flow.lifeAt = Infinity;
    this.#flows.add(flow);
    if (this.#flows.size <= RESETTING_MAX) return;
    for (const oldest of this.#flows) return forget(oldest);
  }

  /** When to repeat it next; Infinity when that has been done often enough. */
  nextAt(now: number, flow: TcpFlow): number {
    return flow.backoff < RESET_REPEATS ? now + RESET_REPEAT * 2 ** flow.backoff : Infinity;
  }

  delete(flow: TcpFlow): void {
    this.#flows.delete(flow);
  }

  /** All of them, which are then no longer kept. */
  takeAll(): TcpFlow[] {
    const all = [...this.#flows];
    this.#flows.clear();
    return all;
  }
}
