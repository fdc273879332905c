import type { AllowedIpChange, DeviceSettings } from '../device/settings.js';

/**
 * Settings as they cross from thread to thread. A change may have a hundred thousand allowed IPs, and cloning two objects and an array for each
 * takes longer than everything else that is done about them; so they cross as one run of bytes.
 */
export interface PackedSettings {
  /** without anybody's allowed IPs */
  readonly settings: DeviceSettings;
  /** how many each peer has */
  readonly counts: Uint32Array;
  /** one after the other: 4 or 6, plus 128 to remove; prefix length; 4 or 16 bytes of address */
  readonly allowedIps: Uint8Array;
}

const REMOVE = 0x80;
const FAMILY = 0x7f;

export function packSettings(settings: DeviceSettings): PackedSettings {
  const { peers } = settings;
  const counts = Uint32Array.from(peers, ({ allowedIps }) => allowedIps.length);
  let size = 0;
  for (const { allowedIps } of peers) for (const { prefix } of allowedIps) size += 2 + prefix.bytes.length;
  const packed = new Uint8Array(size);
  let at = 0;
  for (const { allowedIps } of peers) {
    for (const { prefix, remove } of allowedIps) {
      packed[at++] = (prefix.bytes.length === 4 ? 4 : 6) | (remove === true ? REMOVE : 0);
      packed[at++] = prefix.length;
      packed.set(prefix.bytes, at);
      at += prefix.bytes.length;
    }
  }
  return {
    settings: { ...settings, peers: peers.map((peer) => ({ ...peer, allowedIps: [] })) },
    counts,
    allowedIps: packed,
  };
}

export function unpackSettings({ settings, counts, allowedIps }: PackedSettings): DeviceSettings {
  let at = 0;
  const next = (): AllowedIpChange => {
    const head = allowedIps[at]!;
    const start = at + 2;
    const end = start + ((head & FAMILY) === 4 ? 4 : 16);
    const prefix = { bytes: allowedIps.subarray(start, end), length: allowedIps[at + 1]! };
    at = end;
    return (head & REMOVE) === 0 ? { prefix } : { prefix, remove: true };
  };
  const peers = settings.peers.map((peer, i) => ({ ...peer, allowedIps: Array.from({ length: counts[i]! }, next) }));
  return { ...settings, peers };
}
