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
  const { transport, extensions, peers, ...settings } = toDeviceSettings(config, endpoints);
  return {
    ...settings,
    // Implementations other than ours refuse these keys: they are left out where they change nothing.
    ...(transport === device.transport ? {} : { transport: transport! }),
    ...(extensions === isExtending(device) ? {} : { extensions: extensions! }),
    peers: peers.map(withoutDefaults),
  };
}

export function addition(config: Config, endpoints: readonly (Endpoint | null)[]): DeviceSettings {
  const { privateKey, listenPort, fwmark, transport, extensions } = config.interface;
  return {
    ...(privateKey === undefined ? {} : { privateKey: isZeroKey(privateKey) ? null : privateKey }),
    ...(listenPort === undefined ? {} : { listenPort }),
    ...(fwmark === undefined ? {} : { fwmark }),
    ...(transport === undefined ? {} : { transport }),
    ...(extensions === undefined ? {} : { extensions }),
    peers: config.peers.map(({ publicKey, presharedKey, persistentKeepalive, allowedIps, ...peer }, i) => {
      const endpoint = endpoints[i] ?? null;
      return {
        publicKey,
        ...(presharedKey === undefined ? {} : { presharedKey: isZeroKey(presharedKey) ? null : presharedKey }),
        ...(endpoint === null ? {} : { endpoint }),
        ...(peer.transport === undefined ? {} : { transport: peer.transport }),
        ...(peer.extensions === undefined ? {} : { extensions: peer.extensions }),
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
  const extensions = wanted.extensions!;
  const sides = {
    transport: { before: device.transport, after: transport },
    extensions: { before: isExtending(device), after: extensions },
  };
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
      peers.push(withoutDefaults(peer));
      continue;
    }
    const change = peerDifference(before, peer, sides);
    if (change !== null) peers.push(change);
  }
  const change: DeviceSettings = {
    ...(sameKey(device.privateKey, clamped(wanted.privateKey!)) ? {} : { privateKey: wanted.privateKey! }),
    ...(wanted.listenPort === 0 || wanted.listenPort === device.listenPort ? {} : { listenPort: wanted.listenPort! }),
    ...(wanted.fwmark === device.fwmark ? {} : { fwmark: wanted.fwmark! }),
    ...(transport === device.transport ? {} : { transport }),
    ...(extensions === isExtending(device) ? {} : { extensions }),
    // Those that go make room for what the others take over.
    peers: [...[...there.values()].map(({ publicKey }) => ({ publicKey, remove: true, allowedIps: [] })), ...peers],
  };
  return Object.keys(change).length === 1 && change.peers.length === 0 ? null : change;
}

function peerDifference(
  before: PeerSnapshot,
  wanted: PeerSettings,
  device: { transport: Sides<Transport>; extensions: Sides<boolean> },
): PeerSettings | null {
  const prefixes = new Set(wanted.allowedIps.map(({ prefix }) => formatPrefix(prefix)));
  const same =
    before.allowedIps.length === prefixes.size &&
    before.allowedIps.every((prefix) => prefixes.has(formatPrefix(prefix)));
  const { endpoint } = wanted;
  const moved =
    endpoint !== undefined &&
    (before.endpoint === null || formatEndpoint(before.endpoint) !== formatEndpoint(endpoint));
  const change: PeerSettings = {
    publicKey: wanted.publicKey,
    ...(sameKey(before.presharedKey, wanted.presharedKey!) ? {} : { presharedKey: wanted.presharedKey! }),
    ...(moved ? { endpoint } : {}),
    ...(choiceChanges(device.transport, before.transport, wanted.transport!) ? { transport: wanted.transport! } : {}),
    ...(choiceChanges(device.extensions, isExtending(before), wanted.extensions!)
      ? { extensions: wanted.extensions! }
      : {}),
    ...(before.persistentKeepalive === wanted.persistentKeepalive
      ? {}
      : { persistentKeepalive: wanted.persistentKeepalive! }),
    ...(same ? {} : { replaceAllowedIps: true }),
    allowedIps: same ? [] : wanted.allowedIps,
  };
  return Object.keys(change).length === 2 && same ? null : change;
}

/** What a device's choice was, and what it is to be. */
interface Sides<T> {
  readonly before: T;
  readonly after: T;
}

/**
 * Whether a peer has to be told of its choice. One of its own that is the device's too does not show: when the device's changes, all peers
 * are told anew.
 */
function choiceChanges<T>(device: Sides<T>, before: T, wanted: T | null): boolean {
  if (device.before !== device.after) return true;
  return wanted === null ? before !== device.before : wanted !== before;
}

/** Control messages are on where nothing is said of them. */
function isExtending(shown: DeviceSnapshot | PeerSnapshot): boolean {
  return shown.extensions !== false;
}

/** A new peer has the device's choices anyway. */
function withoutDefaults({ transport, extensions, ...peer }: PeerSettings): PeerSettings {
  return {
    ...peer,
    ...(transport === null || transport === undefined ? {} : { transport }),
    ...(extensions === null || extensions === undefined ? {} : { extensions }),
  };
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
