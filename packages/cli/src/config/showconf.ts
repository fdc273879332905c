import { formatPrefix } from '@wirestream/core/address/ip';
import { formatKey } from '@wirestream/core/config/key';
import type { PeerSnapshot } from '@wirestream/core/device/snapshot';
import { showEndpoint, type ShownDevice } from '../show/device.js';

/**
 * A device as a file that `setconf` takes, exactly as `wg showconf` prints it; where TCP is in use there are `Transport` lines, and where control
 * messages are off `Extensions` lines, which wg(8) itself does not know. Holds secrets.
 */
export function formatShowconf(shown: ShownDevice): string {
  const { device } = shown;
  const lines = ['[Interface]'];
  if (device.listenPort !== 0) lines.push(`ListenPort = ${device.listenPort}`);
  if (device.fwmark !== 0) lines.push(`FwMark = 0x${device.fwmark.toString(16)}`);
  if (device.privateKey !== null) lines.push(`PrivateKey = ${formatKey(device.privateKey)}`);
  if (device.transport !== 'udp') lines.push(`Transport = ${device.transport}`);
  if (device.extensions === false) lines.push('Extensions = off');
  const sections = [lines, ...device.peers.map((peer) => peerLines(peer, shown))];
  // The first section ends with an empty line whether anything follows or not.
  return sections.map((section) => section.join('\n') + '\n').join('\n') + (device.peers.length === 0 ? '\n' : '');
}

function peerLines(peer: PeerSnapshot, shown: ShownDevice): string[] {
  const lines = ['[Peer]', `PublicKey = ${formatKey(peer.publicKey)}`];
  if (peer.presharedKey !== null) lines.push(`PresharedKey = ${formatKey(peer.presharedKey)}`);
  if (peer.allowedIps.length > 0) lines.push(`AllowedIPs = ${peer.allowedIps.map(formatPrefix).join(', ')}`);
  if (peer.endpoint !== null) lines.push(`Endpoint = ${showEndpoint(peer.endpoint, shown)}`);
  if (peer.persistentKeepalive !== 0) lines.push(`PersistentKeepalive = ${peer.persistentKeepalive}`);
  if (peer.transport !== shown.device.transport) lines.push(`Transport = ${peer.transport}`);
  if (peer.extensions !== shown.device.extensions) {
    lines.push(`Extensions = ${peer.extensions === false ? 'off' : 'on'}`);
  }
  return lines;
}
