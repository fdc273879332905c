import { formatEndpoint, type Endpoint } from '@wirestream/core/address/endpoint';
import { formatPrefix } from '@wirestream/core/address/ip';
import type { Config, InterfaceAddress, PeerConfig } from '@wirestream/core/config/config';
import { parseEndpointName, parseInterfaceAddress } from '@wirestream/core/config/values';
import { formatConfig } from '@wirestream/core/config/write';
import type { DeviceSnapshot, PeerSnapshot } from '@wirestream/core/device/snapshot';
import { writeAtomically, type TunnelState } from '../network/journal.js';
import type { Shell } from '../network/shell.js';

/**
 * SaveConfig: the file becomes what the tunnel is now, addresses and MTU of its interface included. Comments in it are lost, as with
 * wg-quick(8).
 */
export async function saveConfig(state: TunnelState, device: DeviceSnapshot, shell: Shell): Promise<void> {
  const shown = await shell.query(['ip', '-o', 'address', 'show', 'dev', state.name]);
  const link = await shell.query(['ip', '-o', 'link', 'show', 'dev', state.name]);
  shell.say(`[#] save the configuration to ${state.configPath}`);
  const config = configOf({ ...state, iface: asItIs(state.iface, shown, link) }, device);
  writeAtomically(state.configPath, formatConfig(config));
}

/**
 * The section with what of it was changed on the interface since.
 * @param addresses as `ip -o address` prints them, @param link as `ip -o link` does; null where there is no interface of that name
 */
export function asItIs(
  iface: TunnelState['iface'],
  addresses: string | null,
  link: string | null,
): TunnelState['iface'] {
  const mtu = /\bmtu ([0-9]+)/.exec(link ?? '')?.[1];
  return {
    ...iface,
    ...(addresses === null ? {} : { addresses: addressesNow(iface.addresses, addresses) }),
    // One that was computed is computed again.
    ...(iface.mtu === undefined || mtu === undefined ? {} : { mtu: Number(mtu) }),
  };
}

function addressesNow(before: readonly InterfaceAddress[], text: string): InterfaceAddress[] {
  const known = new Set(before.map(formatPrefix));
  const found = [...text.matchAll(/\binet6? (\S+)(?: brd \S+)? scope (\S+)/g)].flatMap(([, address, scope]) => {
    const parsed = parseInterfaceAddress(address!);
    // The kernel gives interfaces link-local addresses by itself.
    return parsed === null || (scope === 'link' && !known.has(formatPrefix(parsed))) ? [] : [parsed];
  });
  // In the file's order, what is new behind it: the kernel has its own.
  const now = new Set(found.map(formatPrefix));
  return [
    ...before.filter((address) => now.has(formatPrefix(address))),
    ...found.filter((address) => !known.has(formatPrefix(address))),
  ];
}

/** The configuration that would give a device as it is, with what of the interface only the file knows. */
export function configOf(state: TunnelState, device: DeviceSnapshot): Config {
  const { listenPort: _port, fwmark: _mark, transport: _transport, extensions: _extensions, ...rest } = state.iface;
  return {
    interface: {
      ...rest,
      ...(device.privateKey === null ? {} : { privateKey: device.privateKey }),
      ...(device.listenPort === 0 ? {} : { listenPort: device.listenPort }),
      ...(device.fwmark === 0 ? {} : { fwmark: device.fwmark }),
      ...(device.transport === 'udp' ? {} : { transport: device.transport }),
      ...(device.extensions === false ? { extensions: false } : {}),
    },
    peers: device.peers.map((peer) => peerOf(peer, device, state.iface.saveAnnounced === true)),
  };
}

function peerOf(peer: PeerSnapshot, device: DeviceSnapshot, announced: boolean): PeerConfig {
  const known = announced ? whereItListens(peer) : peer.endpoint;
  const endpoint = known === null ? null : parseEndpointName(formatEndpoint(known));
  return {
    publicKey: peer.publicKey,
    allowedIps: peer.allowedIps,
    ...(peer.presharedKey === null ? {} : { presharedKey: peer.presharedKey }),
    ...(endpoint === null || 'wrong' in endpoint ? {} : { endpoint }),
    ...(peer.persistentKeepalive === 0 ? {} : { persistentKeepalive: peer.persistentKeepalive }),
    ...(peer.transport === device.transport ? {} : { transport: peer.transport }),
    ...(peer.extensions === device.extensions ? {} : { extensions: peer.extensions !== false }),
  };
}

/** The peer's endpoint with the port that it said last, which is none of its own behind an address translation. */
function whereItListens({ endpoint, announced, transport }: PeerSnapshot): Endpoint | null {
  const port = (transport === 'tcp' ? null : announced?.udpPort) || (transport === 'udp' ? null : announced?.tcpPort);
  return endpoint === null || !port || announced?.translated === true ? endpoint : { ...endpoint, port };
}
