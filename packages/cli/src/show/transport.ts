import type {
  AnnouncedSnapshot,
  ConnectionSnapshot,
  DeviceSnapshot,
  EndedSnapshot,
  PathSnapshot,
  PeerSnapshot,
} from '@wirestream/core/device/snapshot';
import { showEndpoint, type ShownDevice } from './device.js';
import type { Paint } from './paint.js';
import { amount, duration } from './units.js';

/** The lines of `show` that stock WireGuard does not have: each a label and a value. Over UDP there are none. */
type Labelled = readonly [label: string, value: string];

export function deviceTransportLines(device: DeviceSnapshot): Labelled[] {
  const lines: Labelled[] = [];
  if (device.transport !== 'udp') lines.push(['transport', device.transport]);
  if (device.extensions === false) lines.push(['extensions', 'off']);
  if (!mayUseTcp(device)) return lines;
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
  if (peer.extensions !== shown.device.extensions) lines.push(['extensions', peer.extensions === false ? 'off' : 'on']);
  if (peer.transport === 'udp') return lines;
  if (peer.path !== undefined) lines.push(['path', pathText(peer.path)]);
  if (peer.announced !== undefined) lines.push(['announced', announced(peer.announced)]);
  for (const connection of peer.connections) {
    lines.push([`connection ${connection.id}`, describe(connection, shown, paint)]);
  }
  const past = peer.ended;
  if (past !== undefined && past.connections > 0) lines.push(['ended connections', ended(past, paint)]);
  const dropped = counters(peer.drops);
  if (dropped !== '') lines.push(['dropped', dropped]);
  return lines;
}

/** Whether anything of a device may be carried over TCP. */
export function mayUseTcp(device: DeviceSnapshot): boolean {
  return device.transport !== 'udp' || device.peers.some(({ transport }) => transport !== 'udp');
}

/** `udp; UDP answered first`. */
function pathText({ transport, reason, moves }: PathSnapshot): string {
  return `${transport}; ${reason}${moves === 0 ? '' : `; moved ${moves} time${moves === 1 ? '' : 's'}`}`;
}

/** `tcp port 51820, udp port 51820; offload, probe`. */
function announced({ tcpPort, udpPort, translated, abilities }: AnnouncedSnapshot): string {
  const port = (name: string, value: number | null) => (value === null || value === 0 ? [] : [`${name} port ${value}`]);
  const where = [...port('tcp', tcpPort), ...port('udp', udpPort)].join(', ') || 'no ports';
  const parts = [where, ...(translated ? ['behind an address translation'] : [])];
  if (abilities.length > 0) parts.push(abilities.join(', '));
  return parts.join('; ');
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
  if (connection.resyncs > 0) parts.push(resynced(connection, paint));
  const dropped = counters(connection.drops);
  if (dropped !== '') parts.push(`dropped ${dropped}`);
  return parts.join('; ');
}

/** `2; 1 resync (7 B skipped)`. */
function ended(past: EndedSnapshot, paint: Paint): string {
  return past.resyncs === 0 ? String(past.connections) : `${past.connections}; ${resynced(past, paint)}`;
}

function resynced({ resyncs, skippedBytes }: { resyncs: number; skippedBytes: number }, paint: Paint): string {
  return `${resyncs} resync${resyncs === 1 ? '' : 's'} (${amount(skippedBytes, paint)} skipped)`;
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
