import type { TcpFlow } from './flow.js';

/**
 * The flows that have something to do when the driver's turn ends, in the order in which they have their share. A flow is in it
 * once. Those that found no room on their path are held until the next turn and then come first, those that have
 * sent nothing in this one before the others.
 */
export class TurnQueue {
  #waiting: TcpFlow[] = [];
  #round: TcpFlow[] = [];
  #at = 0;
  #held: TcpFlow[] = [];
  #served: TcpFlow[] = [];

  get isHolding(): boolean {
    return this.#held.length > 0 || this.#served.length > 0;
  }

  /** Adds a flow at the end, unless it is in the queue. */
  add(flow: TcpFlow): void {
    if (flow.isQueued) return;
    flow.isQueued = true;
    this.#waiting.push(flow);
  }

  /** Keeps a flow for the next turn. @param served whether it has sent something in this one */
  hold(flow: TcpFlow, served: boolean): void {
    flow.isQueued = true;
    (served ? this.#served : this.#held).push(flow);
  }

  /** Begins a turn. */
  begin(): void {
    if (!this.isHolding) return;
    for (const flow of this.#served) this.#held.push(flow);
    this.#served.length = 0;
    for (const flow of this.#waiting) this.#held.push(flow);
    const empty = this.#waiting;
    empty.length = 0;
    this.#waiting = this.#held;
    this.#held = empty;
  }

  /** Takes out the next flow; null when there is none left. Flows added meanwhile come after all others. */
  next(): TcpFlow | null {
    if (this.#at === this.#round.length) {
      const empty = this.#round;
      empty.length = 0;
      this.#round = this.#waiting;
      this.#waiting = empty;
      this.#at = 0;
      if (this.#round.length === 0) return null;
    }
    const flow = this.#round[this.#at++]!;
    flow.isQueued = false;
    return flow;
  }

  clear(): void {
    this.#waiting.length = this.#round.length = this.#held.length = this.#served.length = this.#at = 0;
  }
}
