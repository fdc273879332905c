import type { Endpoint } from '../address/endpoint.js';
import type { DeviceSettings, PeerSettings } from '../device/settings.js';
import type { Config } from './config.js';
import { isZeroKey } from './key.js';

/**
 * The change that makes any device what a configuration says, whatever it was before.
 * @param endpoints for each peer of the configuration what its endpoint was resolved to; null where it has none, which
 *   leaves the peer without one
 */
export function toDeviceSettings(config: Config, endpoints: readonly (Endpoint | null)[]): DeviceSettings {
  const { interface: iface, peers } = config;
  return {
    privateKey: keyOrNull(iface.privateKey),
    listenPort: iface.listenPort ?? 0,
    fwmark: iface.fwmark ?? 0,
    transport: iface.transport ?? 'udp',
    extensions: iface.extensions ?? true,
    replacePeers: true,
    peers: peers.map((peer, i): PeerSettings => {
      const endpoint = endpoints[i] ?? null;
      return {
        publicKey: peer.publicKey,
        presharedKey: keyOrNull(peer.presharedKey),
        ...(endpoint === null ? {} : { endpoint }),
        transport: peer.transport ?? null,
        extensions: peer.extensions ?? null,
        persistentKeepalive: peer.persistentKeepalive ?? 0,
        replaceAllowedIps: true,
        allowedIps: peer.allowedIps.map((prefix) => ({ prefix })),
      };
    }),
  };
}

/** Whether anything of a configuration may travel over TCP. */
export function usesTcp(config: Config): boolean {
  const fallback = config.interface.transport ?? 'udp';
  return fallback !== 'udp' || config.peers.some(({ transport }) => transport !== undefined && transport !== 'udp');
}

function keyOrNull(key: Uint8Array | undefined): Uint8Array | null {
  return key === undefined || isZeroKey(key) ? null : key;
}
