import { sameEndpoint, type Endpoint } from '../address/endpoint.js';
import { clamp } from '../noise/identity.js';
import type { Device } from './device.js';
import type { Peer } from './peer.js';
import type { DeviceSettings, PeerSettings } from './settings.js';

/**
 * Applies a change to a device, in the order that settings.ts states. Ports and marks belong to the driver's sockets: the driver applies those itself
 * and tells the device.
 */
export function configure(device: Device, now: number, settings: DeviceSettings): void {
  // The same key again, which syncconf sends each time, must not end anybody's session (kernel netlink.c: wg_set_device).
  if (settings.privateKey !== undefined && !isOwnKey(device, settings.privateKey)) {
    device.setPrivateKey(settings.privateKey);
    for (const peer of device.peers.values()) identityChanged(peer, now);
  }
  if (settings.transport !== undefined && settings.transport !== device.transport) {
    device.transport = settings.transport;
    for (const peer of device.peers.values()) transportChanged(peer, now);
  }
  if (settings.extensions !== undefined) device.extensions = settings.extensions;
  if (settings.replacePeers === true) {
    // All at once, which is quicker than one by one.
    device.allowedIps.clear();
    for (const peer of [...device.peers.values()]) device.removePeer(peer);
  }
  for (const change of settings.peers) configurePeer(device, now, change);
}

function configurePeer(device: Device, now: number, change: PeerSettings): void {
  let peer = device.peer(change.publicKey);
  if (change.remove === true) {
    if (peer !== undefined) device.removePeer(peer);
    return;
  }
  if (peer === undefined) {
    const own = device.identity?.publicKey;
    if (change.updateOnly === true || (own !== undefined && own.every((byte, i) => byte === change.publicKey[i])))
      return;
    peer = device.addPeer(change.publicKey);
  }
  if (change.presharedKey !== undefined) {
    peer.presharedKey?.fill(0);
    peer.presharedKey = change.presharedKey?.slice() ?? null;
    peer.handshake.setPresharedKey(change.presharedKey);
  }
  if (change.transport !== undefined && change.transport !== peer.ownTransport) {
    peer.ownTransport = change.transport;
    transportChanged(peer, now);
  }
  if (change.extensions !== undefined) peer.ownExtensions = change.extensions;
  if (change.endpoint !== undefined) {
    const stays = isThere(peer, change.endpoint);
    peer.endpoint.configure(change.endpoint);
    device.datagramTo(peer, change.endpoint);
    if (!stays) peer.links.retarget(now);
  }
  if (change.replaceAllowedIps === true) device.allowedIps.removeAll(peer);
  for (const { prefix, remove } of change.allowedIps) {
    if (remove === true) device.allowedIps.remove(prefix, peer);
    else device.allowedIps.insert(prefix, peer);
  }
  if (change.persistentKeepalive !== undefined) {
    const before = peer.timers.persistentInterval;
    peer.timers.persistentInterval = change.persistentKeepalive;
    if (change.persistentKeepalive === 0) peer.timers.persistent = Infinity;
    else if (before === 0) peer.sendKeepalive(now);
  }
  peer.sendStaged(now);
  device.touch(peer);
}

/** Where they lead, our connections belong to who we were, and nobody else's initiation is taken on them: new ones, where we can dial. */
function identityChanged(peer: Peer, now: number): void {
  if (peer.dialTarget() === null) return;
  peer.links.close();
  peer.links.retarget(now);
}

/** What carried the peer is of no use any more; whatever wants out goes the new way. */
function transportChanged(peer: Peer, now: number): void {
  if (peer.transport === 'udp') peer.links.close();
  peer.path.clear();
  const endpoint = peer.endpoint.configured;
  if (endpoint !== null) peer.device.datagramTo(peer, endpoint);
  peer.sendStaged(now);
}

function isOwnKey(device: Device, key: Uint8Array | null): boolean {
  const own = device.identity?.privateKey;
  if (own === undefined || key === null) return own === undefined && key === null;
  return clamp(key).every((byte, i) => byte === own[i]);
}

/** Whether a peer is connected to where it is told to be connected to already. */
function isThere(peer: Peer, endpoint: Endpoint): boolean {
  const { configured, shown } = peer.endpoint;
  return (
    peer.links.active !== null &&
    configured !== null &&
    sameEndpoint(configured, endpoint) &&
    shown!.address === endpoint.address
  );
}
