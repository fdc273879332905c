import type { ConnectionSnapshot, DeviceSnapshot, PeerSnapshot } from '@wirestream/core/device/snapshot';
import { showEndpoint, type ShownDevice } from './device.js';
import type { Paint } from './paint.js';
import { amount, duration } from './units.js';

/** The lines of `show` that stock WireGuard does not have: each a label and a value. Over UDP there are none. */
type Labelled = readonly [label: string, value: string];

export function deviceTransportLines(device: DeviceSnapshot): Labelled[] {
  const tcp = device.transport === 'tcp' || device.peers.some(({ transport }) => transport === 'tcp');
  if (!tcp) return [];
  const lines: Labelled[] = [];
  if (device.transport === 'tcp') lines.push(['transport', 'tcp']);
  if (device.pending.size > 0) lines.push(['pending connections', String(device.pending.size)]);
  const refused = counters(device.pending.refusals);
  if (refused !== '') lines.push(['refused connections', refused]);
  const dropped = counters(device.drops);
  if (dropped !== '') lines.push(['dropped', dropped]);
  return lines;
}

export function peerTransportLines(peer: PeerSnapshot, shown: ShownDevice, paint: Paint): Labelled[] {
  const lines: Labelled[] = [];
  if (peer.transport !== shown.device.transport) lines.push(['transport', peer.transport]);
  if (peer.transport !== 'tcp') return lines;
  for (const connection of peer.connections) {
    lines.push([`connection ${connection.id}`, describe(connection, shown, paint)]);
  }
  const dropped = counters(peer.drops);
  if (dropped !== '') lines.push(['dropped', dropped]);
  return lines;
}

function describe(connection: ConnectionSnapshot, shown: ShownDevice, paint: Paint): string {
  const { local, remote } = connection;
  // The arrow points the way in which the connection was made.
  const here = local === null ? '(unbound)' : showEndpoint(local, shown);
  const there = showEndpoint(remote, shown);
  const path = connection.direction === 'outbound' ? `${here} -> ${there}` : `${there} -> ${here}`;
  const parts = [`${connection.direction}, ${connection.state}${connection.active ? ', active' : ''}, ${path}`];
  parts.push(`age ${age(connection.ageMs, paint)}`);
  if (connection.lastHandshakeAgeMs !== null) parts.push(`handshake ${age(connection.lastHandshakeAgeMs, paint)} ago`);
  if (connection.queuedBytes > 0) {
    parts.push(`queued ${amount(connection.queuedBytes, paint)} for ${Math.round(connection.oldestQueuedMs)} ms`);
  }
  if (connection.resyncs > 0) {
    const skipped = amount(connection.skippedBytes, paint);
    parts.push(`${connection.resyncs} resync${connection.resyncs === 1 ? '' : 's'} (${skipped} skipped)`);
  }
  const dropped = counters(connection.drops);
  if (dropped !== '') parts.push(`dropped ${dropped}`);
  return parts.join('; ');
}

function age(ms: number, paint: Paint): string {
  const seconds = Math.floor(ms / 1000);
  return seconds < 1 ? `0 ${paint.cyan}seconds${paint.reset}` : duration(seconds, paint);
}

/** `3 queue-full, 1 no-route`; those that are 0 are left out. */
function counters(counts: Readonly<Record<string, number>>): string {
  return Object.entries(counts)
    .filter(([, n]) => n > 0)
    .map(([reason, n]) => `${n} ${reason}`)
    .join(', ');
}
