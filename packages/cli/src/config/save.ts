import { formatEndpoint } from '@wirestream/core/address/endpoint';
import type { Config, PeerConfig } from '@wirestream/core/config/config';
import { parseEndpointName } from '@wirestream/core/config/values';
import { formatConfig } from '@wirestream/core/config/write';
import type { DeviceSnapshot, PeerSnapshot } from '@wirestream/core/device/snapshot';
import { writeAtomically, type TunnelState } from '../network/journal.js';
import type { Shell } from '../network/shell.js';

/** SaveConfig: the file becomes what the tunnel is now. Comments in it are lost, as with wg-quick(8). */
export async function saveConfig(state: TunnelState, device: DeviceSnapshot, shell: Shell): Promise<void> {
  await Promise.resolve();
  shell.say(`[#] save the configuration to ${state.configPath}`);
  writeAtomically(state.configPath, formatConfig(configOf(state, device)));
}

/** The configuration that would give a device as it is, with what of the interface only the file knows. */
export function configOf(state: TunnelState, device: DeviceSnapshot): Config {
  const { listenPort: _port, fwmark: _mark, transport: _transport, ...rest } = state.iface;
  return {
    interface: {
      ...rest,
      ...(device.privateKey === null ? {} : { privateKey: device.privateKey }),
      ...(device.listenPort === 0 ? {} : { listenPort: device.listenPort }),
      ...(device.fwmark === 0 ? {} : { fwmark: device.fwmark }),
      ...(device.transport === 'udp' ? {} : { transport: device.transport }),
    },
    peers: device.peers.map((peer) => peerOf(peer, device)),
  };
}

function peerOf(peer: PeerSnapshot, device: DeviceSnapshot): PeerConfig {
  const endpoint = peer.endpoint === null ? null : parseEndpointName(formatEndpoint(peer.endpoint));
  return {
    publicKey: peer.publicKey,
    allowedIps: peer.allowedIps,
    ...(peer.presharedKey === null ? {} : { presharedKey: peer.presharedKey }),
    ...(endpoint === null || 'wrong' in endpoint ? {} : { endpoint }),
    ...(peer.persistentKeepalive === 0 ? {} : { persistentKeepalive: peer.persistentKeepalive }),
    ...(peer.transport === device.transport ? {} : { transport: peer.transport }),
  };
}
