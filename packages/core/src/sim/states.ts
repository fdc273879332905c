import type { ConnectionState } from '../stream/connection.js';
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
  readonly #last = new WeakMap<Links, Triple>();

  observe(host: Host): void {
    const { size } = host.device.pending;
    const pending: Triple['pending'] = size === 0 ? 'no' : size === 1 ? 'one' : 'more';
    for (const peer of host.device.peers.values()) {
      if (peer.transport !== 'tcp') continue;
      const { outbound, candidate, inbound } = peer.links;
      const last = this.#last.get(peer.links);
      // After each turn of each host: mostly nothing has changed, and then nothing is made.
      if (
        last !== undefined &&
        last.outbound === outbound?.state &&
        last.candidate === candidate?.state &&
        last.inbound === inbound?.state &&
        last.pending === pending
      ) {
        continue;
      }
      const triple = { outbound: outbound?.state, candidate: candidate?.state, inbound: inbound?.state, pending };
      this.#last.set(peer.links, triple);
      const state = nameOf(triple);
      count(this.states, state);
      if (last !== undefined) count(this.transitions, `${nameOf(last)} → ${state}`);
    }
  }

  add(other: Pick<StateLog, 'states' | 'transitions'>): void {
    for (const [state, n] of other.states) count(this.states, state, n);
    for (const [move, n] of other.transitions) count(this.transitions, move, n);
  }
}

interface Triple {
  readonly outbound: ConnectionState | undefined;
  readonly candidate: ConnectionState | undefined;
  readonly inbound: ConnectionState | undefined;
  readonly pending: 'no' | 'one' | 'more';
}

function nameOf({ outbound, candidate, inbound, pending }: Triple): string {
  return `${outbound ?? 'none'}${candidate === undefined ? '' : `+${candidate}`}, ${inbound ?? 'none'}, ${pending} pending`;
}

function count(map: Map<string, number>, key: string, by = 1): void {
  map.set(key, (map.get(key) ?? 0) + by);
}
