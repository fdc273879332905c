import type { Links } from '../stream/links.js';
import type { Host } from './host.js';

/**
 * Which states a peer's connections were seen in, and which moves between them: (outbound, inbound, pending). The outbound part also
 * names a candidate that is to replace it.
 */
export class StateLog {
  /** triple → how often it was entered */
  readonly states = new Map<string, number>();
  /** triple → triple */
  readonly transitions = new Map<string, number>();
  readonly #last = new WeakMap<Links, string>();

  observe(host: Host): void {
    for (const peer of host.device.peers.values()) {
      if (peer.transport !== 'tcp') continue;
      const state = triple(host, peer.links);
      const last = this.#last.get(peer.links);
      if (state === last) continue;
      this.#last.set(peer.links, state);
      count(this.states, state);
      if (last !== undefined) count(this.transitions, `${last} → ${state}`);
    }
  }

  add(other: StateLog): void {
    for (const [state, n] of other.states) count(this.states, state, n);
    for (const [move, n] of other.transitions) count(this.transitions, move, n);
  }
}

function triple(host: Host, links: Links): string {
  const candidate = links.candidate === null ? '' : `+${links.candidate.state}`;
  const outbound = (links.outbound?.state ?? 'none') + candidate;
  const inbound = links.inbound?.state ?? 'none';
  const pending = host.device.pending.size;
  return `${outbound}, ${inbound}, ${pending === 0 ? 'no' : pending === 1 ? 'one' : 'more'} pending`;
}

function count(map: Map<string, number>, key: string, by = 1): void {
  map.set(key, (map.get(key) ?? 0) + by);
}
