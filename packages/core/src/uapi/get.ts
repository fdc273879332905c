import { formatEndpoint } from '../address/endpoint.js';
import { formatPrefix } from '../address/ip.js';
import { formatHexKey } from '../config/key.js';
import type { DeviceSnapshot, PeerSnapshot } from '../device/snapshot.js';

/** A preshared key that is not set is sent as zeros, as wireguard-go does. */
const NO_KEY = '0'.repeat(64);

/** The lines that answer `get=1`, without the closing `errno`. Holds secrets, as the protocol demands. */
export function formatGet(device: DeviceSnapshot): string {
  let out = '';
  if (device.privateKey !== null) out += `private_key=${formatHexKey(device.privateKey)}\n`;
  if (device.listenPort !== 0) out += `listen_port=${device.listenPort}\n`;
  if (device.fwmark !== 0) out += `fwmark=${device.fwmark}\n`;
  if (device.transport !== 'udp') out += `transport=${device.transport}\n`;
  if (device.extensions === false) out += 'extensions=off\n';
  for (const peer of device.peers) out += formatPeer(peer, device);
  return out;
}

function formatPeer(peer: PeerSnapshot, device: DeviceSnapshot): string {
  const seconds = Math.floor(peer.lastHandshake / 1000);
  const nanoseconds = Math.floor((peer.lastHandshake - seconds * 1000) * 1e6);
  let out = `public_key=${formatHexKey(peer.publicKey)}\n`;
  out += `preshared_key=${peer.presharedKey === null ? NO_KEY : formatHexKey(peer.presharedKey)}\n`;
  out += 'protocol_version=1\n';
  if (peer.endpoint !== null) out += `endpoint=${formatEndpoint(peer.endpoint)}\n`;
  out += `last_handshake_time_sec=${seconds}\nlast_handshake_time_nsec=${nanoseconds}\n`;
  out += `tx_bytes=${peer.txBytes}\nrx_bytes=${peer.rxBytes}\n`;
  out += `persistent_keepalive_interval=${peer.persistentKeepalive}\n`;
  if (peer.transport !== device.transport) out += `transport=${peer.transport}\n`;
  if (peer.extensions !== device.extensions) out += `extensions=${peer.extensions === false ? 'off' : 'on'}\n`;
  for (const prefix of peer.allowedIps) out += `allowed_ip=${formatPrefix(prefix)}\n`;
  return out;
}
