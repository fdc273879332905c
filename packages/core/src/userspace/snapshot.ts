import { endpointOf, type Endpoint } from '../address/endpoint.js';
import { Phase, type TcpFlow } from './tcp/flow.js';
import type { UdpFlow } from './udp/flow.js';

/** One flow, as `show flows` prints it. Plain data. */
export interface FlowSnapshot {
  readonly protocol: 'tcp' | 'udp';
  /** which side began it: 'in' for a peer's, 'out' for one from here into the tunnel */
  readonly direction: 'in' | 'out';
  readonly source: Endpoint;
  readonly destination: Endpoint;
  readonly state: FlowState;
  /** bytes of data from the side that began it, and to it */
  readonly sentBytes: number;
  readonly receivedBytes: number;
  readonly ageMs: number;
  readonly idleMs: number;
}

/**
 * opening: neither side is connected yet; half-open: one is; half-closed: one direction has ended; closing: both have, and the last bytes are
 * on their way.
 */
export type FlowState = 'opening' | 'half-open' | 'established' | 'half-closed' | 'closing';

export function listFlows(now: number, tcp: Iterable<TcpFlow>, udp: Iterable<UdpFlow>): FlowSnapshot[] {
  const out: FlowSnapshot[] = [];
  for (const flow of tcp) {
    if (flow.phase !== Phase.lingering) out.push(snapshot(now, 'tcp', flow, tcpState(flow)));
  }
  for (const flow of udp) out.push(snapshot(now, 'udp', flow, 'established'));
  return out;
}

function snapshot(now: number, protocol: 'tcp' | 'udp', flow: TcpFlow | UdpFlow, state: FlowState): FlowSnapshot {
  const inward = flow.origin === 'inner';
  const local = endpointOf(flow.local, flow.localPort);
  const remote = endpointOf(flow.remote, flow.remotePort);
  return {
    protocol,
    direction: inward ? 'in' : 'out',
    source: inward ? remote : local,
    destination: inward ? local : remote,
    state,
    sentBytes: inward ? flow.fromInner : flow.toInner,
    receivedBytes: inward ? flow.toInner : flow.fromInner,
    ageMs: now - flow.createdAt,
    idleMs: now - flow.lastActivity,
  };
}

function tcpState(flow: TcpFlow): FlowState {
  switch (flow.phase) {
    case Phase.opening:
      return 'opening';
    case Phase.synReceived:
      return flow.origin === 'inner' ? 'half-open' : 'opening';
    case Phase.synSent:
      return 'opening';
    default:
      if (flow.nativeEof && flow.innerFinished) return 'closing';
      return flow.nativeEof || flow.innerFinished ? 'half-closed' : 'established';
  }
}
