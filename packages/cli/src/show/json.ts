import { formatPrefix } from '@wirestream/core/address/ip';
import { formatKey } from '@wirestream/core/config/key';
import type { ConnectionSnapshot, PeerSnapshot } from '@wirestream/core/device/snapshot';
import { handshakeSeconds, showEndpoint, type ShownDevice } from './device.js';
import { mayUseTcp } from './transport.js';

/**
 * Devices as one JSON object by interface, with the names of WireGuard's contrib/json/wg-json: what is not set is left
 * out, and secrets are not hidden. Where TCP is in use there is a `tcp` object in the device and in each such peer.
 */
export function devicesToJson(devices: readonly ShownDevice[]): Record<string, unknown> {
  return Object.fromEntries(devices.map((shown) => [shown.name, deviceToJson(shown)]));
}

function deviceToJson(shown: ShownDevice): Record<string, unknown> {
  const { device } = shown;
  const tcp = mayUseTcp(device);
  return withoutUnset({
    privateKey: device.privateKey && formatKey(device.privateKey),
    publicKey: device.publicKey && formatKey(device.publicKey),
    listenPort: device.listenPort || null,
    fwmark: device.fwmark || null,
    transport: tcp ? device.transport : null,
    extensions: device.extensions === false ? false : null,
    tcp: tcp ? { pending: device.pending.size, refusals: device.pending.refusals, drops: device.drops } : null,
    peers: Object.fromEntries(device.peers.map((peer) => [formatKey(peer.publicKey), peerToJson(peer, shown)])),
  });
}

function peerToJson(peer: PeerSnapshot, shown: ShownDevice): Record<string, unknown> {
  const tcp = peer.transport !== 'udp';
  return withoutUnset({
    presharedKey: peer.presharedKey && formatKey(peer.presharedKey),
    endpoint: peer.endpoint && showEndpoint(peer.endpoint, shown),
    latestHandshake: handshakeSeconds(peer.lastHandshake) || null,
    transferRx: peer.rxBytes || null,
    transferTx: peer.txBytes || null,
    persistentKeepalive: peer.persistentKeepalive || null,
    allowedIps: peer.allowedIps.map(formatPrefix),
    transport: tcp || peer.transport !== shown.device.transport ? peer.transport : null,
    extensions: peer.extensions !== shown.device.extensions ? peer.extensions !== false : null,
    announced: peer.announced ?? null,
    path: peer.path ?? null,
    tcp: tcp
      ? {
          connections: peer.connections.map((connection) => connectionToJson(connection, shown)),
          resyncs: sum(peer.connections, ({ resyncs }) => resyncs) + (peer.ended?.resyncs ?? 0),
          skippedBytes: sum(peer.connections, ({ skippedBytes }) => skippedBytes) + (peer.ended?.skippedBytes ?? 0),
          queuedBytes: sum(peer.connections, ({ queuedBytes }) => queuedBytes),
          endedConnections: peer.ended?.connections ?? 0,
          drops: peer.drops,
        }
      : null,
  });
}

function connectionToJson(connection: ConnectionSnapshot, shown: ShownDevice): Record<string, unknown> {
  return {
    ...connection,
    ageMs: Math.round(connection.ageMs),
    lastHandshakeAgeMs: connection.lastHandshakeAgeMs === null ? null : Math.round(connection.lastHandshakeAgeMs),
    oldestQueuedMs: Math.round(connection.oldestQueuedMs),
    local: connection.local && showEndpoint(connection.local, shown),
    remote: showEndpoint(connection.remote, shown),
  };
}

function sum(connections: readonly ConnectionSnapshot[], of: (connection: ConnectionSnapshot) => number): number {
  return connections.reduce((total, connection) => total + of(connection), 0);
}

function withoutUnset(object: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(object).filter(([, value]) => value !== null));
}
