import { formatEndpoint } from '@wirestream/core/address/endpoint';
import { formatKey } from '@wirestream/core/config/key';
import type { ConnectionSnapshot, DeviceSnapshot, PeerSnapshot } from '@wirestream/core/device/snapshot';

/** What happened between two looks at a device, in words; with nothing before, what there is. */
export function changes(before: DeviceSnapshot | null, after: DeviceSnapshot): string[] {
  const lines: string[] = [];
  if (before?.listenPort !== after.listenPort && after.listenPort !== 0)
    lines.push(`listening on port ${after.listenPort}`);
  const old = new Map(before?.peers.map((peer) => [formatKey(peer.publicKey), peer]));
  for (const peer of after.peers) {
    const key = formatKey(peer.publicKey);
    const name = `peer ${key.slice(0, 8)}…`;
    for (const line of peerChanges(old.get(key) ?? null, peer)) lines.push(`${name}: ${line}`);
    old.delete(key);
  }
  for (const key of old.keys()) lines.push(`peer ${key.slice(0, 8)}…: removed`);
  return lines;
}

function peerChanges(before: PeerSnapshot | null, after: PeerSnapshot): string[] {
  const lines: string[] = [];
  const endpoint = (peer: PeerSnapshot | null) => (peer?.endpoint ? formatEndpoint(peer.endpoint) : null);
  if (endpoint(after) !== null && endpoint(before) !== endpoint(after)) lines.push(`endpoint ${endpoint(after)}`);
  const old = new Map(before?.connections.map((connection) => [connection.id, connection]));
  for (const connection of after.connections) {
    const was = old.get(connection.id);
    if (was?.state !== connection.state) lines.push(`${title(connection)} ${connection.state}`);
    if (connection.active && was?.active !== true) lines.push(`${title(connection)} in use`);
    if (was !== undefined && connection.resyncs > was.resyncs) lines.push(`${title(connection)} resynchronised`);
    old.delete(connection.id);
  }
  for (const connection of old.values()) lines.push(`${title(connection)} closed`);
  if (after.lastHandshake !== 0 && after.lastHandshake !== (before?.lastHandshake ?? 0))
    lines.push('handshake completed');
  return lines;
}

function title({ direction, id, remote }: ConnectionSnapshot): string {
  return `${direction} connection ${id} ${direction === 'outbound' ? 'to' : 'from'} ${formatEndpoint(remote)}`;
}
