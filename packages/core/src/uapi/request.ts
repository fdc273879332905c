import { formatEndpoint } from '../address/endpoint.js';
import { formatPrefix } from '../address/ip.js';
import { formatHexKey } from '../config/key.js';
import type { DeviceSettings, PeerSettings } from '../device/settings.js';

/** What a client sends to read a device. */
export const GET_REQUEST = 'get=1\n\n';

const NO_KEY = '0'.repeat(64);

/**
 * What a client sends to change a device. Holds secrets. `transport` and `extensions` are sent where the settings say something of
 * them; implementations other than ours refuse those keys.
 */
export function formatSet(settings: DeviceSettings): string {
  let out = 'set=1\n';
  if (settings.privateKey !== undefined) out += `private_key=${hexOrZero(settings.privateKey)}\n`;
  if (settings.listenPort !== undefined) out += `listen_port=${settings.listenPort}\n`;
  if (settings.fwmark !== undefined) out += `fwmark=${settings.fwmark}\n`;
  if (settings.transport !== undefined) out += `transport=${settings.transport}\n`;
  if (settings.extensions !== undefined) out += `extensions=${settings.extensions ? 'on' : 'off'}\n`;
  if (settings.replacePeers === true) out += 'replace_peers=true\n';
  for (const peer of settings.peers) out += formatPeer(peer);
  return out + '\n';
}

function formatPeer(peer: PeerSettings): string {
  let out = `public_key=${formatHexKey(peer.publicKey)}\n`;
  if (peer.remove === true) return out + 'remove=true\n';
  if (peer.updateOnly === true) out += 'update_only=true\n';
  if (peer.presharedKey !== undefined) out += `preshared_key=${hexOrZero(peer.presharedKey)}\n`;
  if (peer.endpoint !== undefined) out += `endpoint=${formatEndpoint(peer.endpoint)}\n`;
  if (peer.transport !== undefined) out += `transport=${peer.transport ?? 'default'}\n`;
  if (peer.extensions !== undefined) out += `extensions=${formatSwitch(peer.extensions)}\n`;
  if (peer.persistentKeepalive !== undefined) out += `persistent_keepalive_interval=${peer.persistentKeepalive}\n`;
  if (peer.replaceAllowedIps === true) out += 'replace_allowed_ips=true\n';
  for (const { prefix, remove } of peer.allowedIps) {
    out += `allowed_ip=${remove === true ? '-' : ''}${formatPrefix(prefix)}\n`;
  }
  return out;
}

function formatSwitch(value: boolean | null): string {
  return value === null ? 'default' : value ? 'on' : 'off';
}

function hexOrZero(key: Uint8Array | null): string {
  return key === null ? NO_KEY : formatHexKey(key);
}
