import { formatEndpoint, type Endpoint } from '@wirestream/core/address/endpoint';
import { formatPrefix } from '@wirestream/core/address/ip';
import type { Config } from '@wirestream/core/config/config';
import { formatKey, isZeroKey } from '@wirestream/core/config/key';
import { toDeviceSettings } from '@wirestream/core/config/settings';
import { clamp } from '@wirestream/core/noise/identity';
import type { DeviceSettings, PeerSettings, Transport } from '@wirestream/core/device/settings';
import type { DeviceSnapshot, PeerSnapshot } from '@wirestream/core/device/snapshot';

/**
 * What a file changes on a running device, in the three ways of wg(8): `setconf` makes the device what the file says,
 * `addconf` adds what the file says to it, `syncconf` gets to where setconf gets by the least change, so that peers which
 * stay as they are notice nothing.
 */

/** @param endpoints of the configuration's peers, null where there is none; also below */
export function replacement(
  config: Config,
  endpoints: readonly (Endpoint | null)[],
  device: DeviceSnapshot,
): DeviceSettings {
  const { transport, peers, ...settings } = toDeviceSettings(config, endpoints);
  return {
    ...settings,
    // Implementations other than ours refuse the key: it is left out where it changes nothing.
    ...(transport === device.transport ? {} : { transport: transport! }),
    peers: peers.map(({ transport: own, ...peer }) => (own === null ? peer : { ...peer, transport: own! })),
  };
}

export function addition(config: Config, endpoints: readonly (Endpoint | null)[]): DeviceSettings {
  const { privateKey, listenPort, fwmark, transport } = config.interface;
  return {
    ...(privateKey === undefined ? {} : { privateKey: isZeroKey(privateKey) ? null : privateKey }),
    ...(listenPort === undefined ? {} : { listenPort }),
    ...(fwmark === undefined ? {} : { fwmark }),
    ...(transport === undefined ? {} : { transport }),
    peers: config.peers.map(({ publicKey, presharedKey, persistentKeepalive, allowedIps, ...peer }, i) => {
      const endpoint = endpoints[i] ?? null;
      return {
        publicKey,
        ...(presharedKey === undefined ? {} : { presharedKey: isZeroKey(presharedKey) ? null : presharedKey }),
        ...(endpoint === null ? {} : { endpoint }),
        ...(peer.transport === undefined ? {} : { transport: peer.transport }),
        ...(persistentKeepalive === undefined ? {} : { persistentKeepalive }),
        replaceAllowedIps: true,
        allowedIps: allowedIps.map((prefix) => ({ prefix })),
      };
    }),
  };
}

/** Null when nothing is to be changed. A file without ListenPort leaves the port that there is. */
export function difference(
  config: Config,
  endpoints: readonly (Endpoint | null)[],
  device: DeviceSnapshot,
): DeviceSettings | null {
  const wanted = toDeviceSettings(config, endpoints);
  const transport = wanted.transport!;
  const owners = ownersOf(wanted.peers);
  const there = new Map(device.peers.map((peer) => [formatKey(peer.publicKey), peer]));
  const peers: PeerSettings[] = [];
  for (const claimed of wanted.peers) {
    const key = formatKey(claimed.publicKey);
    const allowedIps = claimed.allowedIps.filter(({ prefix }) => owners.get(formatPrefix(prefix)) === key);
    const peer = { ...claimed, allowedIps };
    const before = there.get(key);
    there.delete(key);
    if (before === undefined) {
      const { transport: own, ...rest } = peer;
      peers.push(own === null ? rest : { ...rest, transport: own! });
      continue;
    }
    const change = peerDifference(before, peer, { before: device.transport, after: transport });
    if (change !== null) peers.push(change);
  }
  const change: DeviceSettings = {
    ...(sameKey(device.privateKey, clamped(wanted.privateKey!)) ? {} : { privateKey: wanted.privateKey! }),
    ...(wanted.listenPort === 0 || wanted.listenPort === device.listenPort ? {} : { listenPort: wanted.listenPort! }),
    ...(wanted.fwmark === device.fwmark ? {} : { fwmark: wanted.fwmark! }),
    ...(transport === device.transport ? {} : { transport }),
    // Those that go make room for what the others take over.
    peers: [...[...there.values()].map(({ publicKey }) => ({ publicKey, remove: true, allowedIps: [] })), ...peers],
  };
  return Object.keys(change).length === 1 && change.peers.length === 0 ? null : change;
}

function peerDifference(
  before: PeerSnapshot,
  wanted: PeerSettings,
  device: { before: Transport; after: Transport },
): PeerSettings | null {
  const own = before.transport === device.before ? null : before.transport;
  const prefixes = new Set(wanted.allowedIps.map(({ prefix }) => formatPrefix(prefix)));
  const same =
    before.allowedIps.length === prefixes.size &&
    before.allowedIps.every((prefix) => prefixes.has(formatPrefix(prefix)));
  const { endpoint } = wanted;
  const moved =
    endpoint !== undefined &&
    (before.endpoint === null || formatEndpoint(before.endpoint) !== formatEndpoint(endpoint));
  // A choice of its own that is the device's too does not show: when the device's changes, all peers are told anew.
  const transportChanges =
    device.before !== device.after ||
    (wanted.transport === null ? own !== null : wanted.transport !== before.transport);
  const change: PeerSettings = {
    publicKey: wanted.publicKey,
    ...(sameKey(before.presharedKey, wanted.presharedKey!) ? {} : { presharedKey: wanted.presharedKey! }),
    ...(moved ? { endpoint } : {}),
    ...(transportChanges ? { transport: wanted.transport! } : {}),
    ...(before.persistentKeepalive === wanted.persistentKeepalive
      ? {}
      : { persistentKeepalive: wanted.persistentKeepalive! }),
    ...(same ? {} : { replaceAllowedIps: true }),
    allowedIps: same ? [] : wanted.allowedIps,
  };
  return Object.keys(change).length === 2 && same ? null : change;
}

/** Whose each range is in the end, by the owner's key: of several peers that claim one, the last gets it. */
function ownersOf(peers: readonly PeerSettings[]): Map<string, string> {
  const owners = new Map<string, string>();
  for (const { publicKey, allowedIps } of peers) {
    for (const { prefix } of allowedIps) owners.set(formatPrefix(prefix), formatKey(publicKey));
  }
  return owners;
}

function sameKey(a: Uint8Array | null, b: Uint8Array | null): boolean {
  return a === null || b === null ? a === b : a.every((byte, i) => byte === b[i]);
}

/** As a device holds it. */
function clamped(key: Uint8Array | null): Uint8Array | null {
  return key === null ? null : clamp(key.slice());
}
