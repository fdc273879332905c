import { formatIp } from '@wirestream/core/address/ip';
import { formatKey } from '@wirestream/core/config/key';
import type { PeerSnapshot } from '@wirestream/core/device/snapshot';
import { handshakeSeconds, showEndpoint, type ShownDevice } from './device.js';
import type { Paint } from './paint.js';
import { deviceTransportLines, peerTransportLines } from './transport.js';
import { ago, amount, duration } from './units.js';

export interface PrettyOptions {
  readonly paint: Paint;
  /** print secret keys */
  readonly showSecrets: boolean;
  /** wall clock, ms since the Unix epoch */
  readonly now: number;
}

/**
 * A device for people, exactly as `wg show` prints it; behind each part follows what only a TCP transport has, so that a
 * device all on UDP is byte for byte the same.
 */
export function formatPretty(shown: ShownDevice, options: PrettyOptions): string {
  const { device, name } = shown;
  const { paint } = options;
  const lines = [
    `${paint.reset}${paint.green}${paint.bold}interface${paint.reset}: ${paint.green}${name}${paint.reset}`,
  ];
  const line = (label: string, value: string) => lines.push(`  ${paint.bold}${label}${paint.reset}: ${value}`);
  const secret = (key: Uint8Array) => (options.showSecrets ? formatKey(key) : '(hidden)');

  if (device.publicKey !== null) line('public key', formatKey(device.publicKey));
  if (device.privateKey !== null) line('private key', secret(device.privateKey));
  if (device.listenPort !== 0) line('listening port', String(device.listenPort));
  if (device.fwmark !== 0) line('fwmark', `0x${device.fwmark.toString(16)}`);
  for (const [label, value] of deviceTransportLines(device)) line(label, value);
  for (const peer of [...device.peers].sort(newestFirst)) {
    lines.push(
      '',
      `${paint.yellow}${paint.bold}peer${paint.reset}: ${paint.yellow}${formatKey(peer.publicKey)}${paint.reset}`,
    );
    if (peer.presharedKey !== null) line('preshared key', secret(peer.presharedKey));
    if (peer.endpoint !== null) line('endpoint', showEndpoint(peer.endpoint, shown));
    line('allowed ips', allowedIps(peer, paint));
    const handshake = handshakeSeconds(peer.lastHandshake);
    if (handshake !== 0) line('latest handshake', ago(Math.floor(options.now / 1000), handshake, paint));
    if (peer.rxBytes !== 0 || peer.txBytes !== 0) {
      line('transfer', `${amount(peer.rxBytes, paint)} received, ${amount(peer.txBytes, paint)} sent`);
    }
    if (peer.persistentKeepalive !== 0) {
      line('persistent keepalive', `every ${duration(peer.persistentKeepalive, paint)}`);
    }
    for (const [label, value] of peerTransportLines(peer, shown, paint)) line(label, value);
  }
  return lines.join('\n') + '\n';
}

function newestFirst(a: PeerSnapshot, b: PeerSnapshot): number {
  return b.lastHandshake - a.lastHandshake;
}

function allowedIps(peer: PeerSnapshot, paint: Paint): string {
  if (peer.allowedIps.length === 0) return '(none)';
  return peer.allowedIps
    .map(({ bytes, length }) => `${formatIp(bytes)}${paint.cyan}/${paint.reset}${length}`)
    .join(', ');
}
