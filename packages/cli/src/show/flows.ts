import { formatEndpoint } from '@wirestream/core/address/endpoint';
import type { FlowSnapshot } from '@wirestream/core/userspace/snapshot';

/** One line, tab-separated: tunnel, protocol, direction, source, destination, state, bytes sent, bytes received, age in seconds. */
export function formatFlow(name: string, flow: FlowSnapshot): string {
  const { protocol, direction, source, destination, state, sentBytes, receivedBytes, ageMs } = flow;
  return [
    name,
    protocol,
    direction,
    formatEndpoint(source),
    formatEndpoint(destination),
    state,
    sentBytes,
    receivedBytes,
    (ageMs / 1000).toFixed(1),
  ].join('\t');
}
