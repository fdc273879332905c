import type { FlowLimits } from '../limits.js';
import type { Path } from '../native.js';
import { Tally } from '../tally.js';
import { IDLE_UNDER_PRESSURE, RELIEF_INTERVAL } from './constants.js';
import { Phase, type TcpFlow } from './flow.js';

/**
 * Who may still have a flow. Half-open flows are counted apart, so that a flood of SYNs leaves room for the rest, and all by
 * peer rather than by address, since a peer may use as many addresses as its allowed IPs have.
 */
export class Admission {
  /** flows that hold a descriptor, and those of them that are half open */
  flows = 0;
  halfOpen = 0;
  readonly #byPeer = new Tally<Path>();
  readonly #halfOpenByPeer = new Tally<Path>();
  #relievedAt = -Infinity;

  constructor(private readonly limits: FlowLimits) {}

  get isFull(): boolean {
    return this.flows >= this.limits.flows;
  }

  admitsHalfOpen(path: Path): boolean {
    return this.halfOpen < this.limits.halfOpen && this.#halfOpenByPeer.get(path) < this.limits.halfOpenPerPeer;
  }

  admits(path: Path): boolean {
    return !this.isFull && this.#byPeer.get(path) < this.limits.flowsPerPeer;
  }

  enters(flow: TcpFlow): void {
    this.flows++;
    this.#byPeer.add(flow.path, 1);
  }

  leaves(flow: TcpFlow): void {
    this.flows--;
    this.#byPeer.add(flow.path, -1);
  }

  beginsHalfOpen(flow: TcpFlow): void {
    flow.isHalfOpen = true;
    this.halfOpen++;
    this.#halfOpenByPeer.add(flow.path, 1);
  }

  /** The flow is no longer half open. */
  settled(flow: TcpFlow): void {
    if (!flow.isHalfOpen) return;
    flow.isHalfOpen = false;
    this.halfOpen--;
    this.#halfOpenByPeer.add(flow.path, -1);
  }

  /** The flow of that peer's that should give way because the table is full; null when none has been idle for long. */
  idlest(now: number, path: Path, flows: Iterable<TcpFlow>): TcpFlow | null {
    if (now < this.#relievedAt + RELIEF_INTERVAL) return null;
    this.#relievedAt = now;
    let idlest: TcpFlow | null = null;
    for (const flow of flows) {
      if (flow.path !== path || flow.phase !== Phase.established) continue;
      if (flow.lastActivity < (idlest?.lastActivity ?? now - IDLE_UNDER_PRESSURE)) idlest = flow;
    }
    return idlest;
  }
}
