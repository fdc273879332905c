import { formatPrefix } from '@wirestream/core/address/ip';
import { formatKey } from '@wirestream/core/config/key';
import type { DeviceSnapshot, PeerSnapshot } from '@wirestream/core/device/snapshot';
import { handshakeSeconds, keyOrNone, showEndpoint, showFwmark, type ShownDevice } from './device.js';

/** The forms of `show` for programs: one value, or one line per peer, as wg(8) prints them. Secrets are not hidden. */

type DeviceField = (device: DeviceSnapshot) => string;
type PeerField = (peer: PeerSnapshot, shown: ShownDevice) => string;

const DEVICE_FIELDS: Readonly<Record<string, DeviceField>> = {
  'public-key': (device) => keyOrNone(device.publicKey),
  'private-key': (device) => keyOrNone(device.privateKey),
  'listen-port': (device) => String(device.listenPort),
  fwmark: (device) => showFwmark(device.fwmark),
};

const PEER_FIELDS: Readonly<Record<string, PeerField>> = {
  'preshared-keys': (peer) => keyOrNone(peer.presharedKey),
  endpoints: endpoint,
  'allowed-ips': (peer) => allowedIps(peer, ' '),
  'latest-handshakes': (peer) => String(handshakeSeconds(peer.lastHandshake)),
  transfer: (peer) => `${peer.rxBytes}\t${peer.txBytes}`,
  'persistent-keepalive': keepalive,
};

/** All that may follow the interface on the command line, in the order in which wg(8) lists them. */
export const FIELDS = [
  'public-key',
  'private-key',
  'listen-port',
  'fwmark',
  'peers',
  'preshared-keys',
  'endpoints',
  'allowed-ips',
  'latest-handshakes',
  'transfer',
  'persistent-keepalive',
  'dump',
] as const;

/** @param withName begin each line with the interface's name, as `show all` does */
export function formatField(shown: ShownDevice, field: (typeof FIELDS)[number], withName: boolean): string {
  const { device } = shown;
  const lines = ((): string[] => {
    if (field === 'dump') return dump(shown);
    if (field === 'peers') return device.peers.map(({ publicKey }) => formatKey(publicKey));
    const ofDevice = DEVICE_FIELDS[field];
    if (ofDevice !== undefined) return [ofDevice(device)];
    const ofPeer = PEER_FIELDS[field]!;
    return device.peers.map((peer) => `${formatKey(peer.publicKey)}\t${ofPeer(peer, shown)}`);
  })();
  if (!withName) return lines.map((line) => `${line}\n`).join('');
  // wg(8) prints the name only once for this field, peers or not; scripts written for it know no better.
  if (field === 'endpoints') return `${shown.name}\t${lines.map((line) => `${line}\n`).join('')}`;
  return lines.map((line) => `${shown.name}\t${line}\n`).join('');
}

function dump(shown: ShownDevice): string[] {
  const { device } = shown;
  const first = ['private-key', 'public-key', 'listen-port', 'fwmark'].map((field) => DEVICE_FIELDS[field]!(device));
  return [
    first.join('\t'),
    ...device.peers.map((peer) =>
      [
        formatKey(peer.publicKey),
        keyOrNone(peer.presharedKey),
        endpoint(peer, shown),
        allowedIps(peer, ','),
        handshakeSeconds(peer.lastHandshake),
        peer.rxBytes,
        peer.txBytes,
        keepalive(peer),
      ].join('\t'),
    ),
  ];
}

function endpoint(peer: PeerSnapshot, shown: ShownDevice): string {
  return peer.endpoint === null ? '(none)' : showEndpoint(peer.endpoint, shown);
}

function allowedIps(peer: PeerSnapshot, separator: string): string {
  return peer.allowedIps.length === 0 ? '(none)' : peer.allowedIps.map(formatPrefix).join(separator);
}

function keepalive(peer: PeerSnapshot): string {
  return peer.persistentKeepalive === 0 ? 'off' : String(peer.persistentKeepalive);
}
