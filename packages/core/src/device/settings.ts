import type { Endpoint } from '../address/endpoint.js';
import type { Prefix } from '../address/ip.js';

/** What carries a peer's messages: one of the two, or whichever the network lets through (device/path.ts). */
export type Transport = 'tcp' | 'udp' | 'auto';

/**
 * A change to a device, as one UAPI `set=1` request or one configuration file states it. What is absent stays as it is.
 * Plain data (structured-clone friendly): it crosses from the main thread to the engine. The steps take effect in this
 * order: device keys, `replacePeers`, then the peers one by one in the order given.
 */
export interface DeviceSettings {
  /** 32 bytes, clamped or not; null takes the key away */
  readonly privateKey?: Uint8Array | null;
  /** 0–65535; 0 leaves the choice to the system */
  readonly listenPort?: number;
  /** 32 bits, unsigned; 0 turns it off */
  readonly fwmark?: number;
  /** what carries peers that do not say otherwise */
  readonly transport?: Transport;
  /** whether peers that do not say otherwise are told in control messages what we are and can (docs/control.md) */
  readonly extensions?: boolean;
  /** remove all peers before those below are applied */
  readonly replacePeers?: boolean;
  /** one public key may occur several times; later entries build on earlier ones */
  readonly peers: readonly PeerSettings[];
}

/** A change to one peer, which is created when there is none of that public key. */
export interface PeerSettings {
  /** 32 bytes. A peer with the device's own public key is ignored without an error. */
  readonly publicKey: Uint8Array;
  /** remove the peer; everything else is ignored */
  readonly remove?: boolean;
  /** do nothing when there is no such peer */
  readonly updateOnly?: boolean;
  /** 32 bytes; null takes the key away */
  readonly presharedKey?: Uint8Array | null;
  readonly endpoint?: Endpoint;
  /** what carries this peer; null goes back to the device's choice */
  readonly transport?: Transport | null;
  /** likewise for this peer; null goes back to the device's choice */
  readonly extensions?: boolean | null;
  /** seconds, 0–65535; 0 turns it off. Turning it on sends a keepalive at once. */
  readonly persistentKeepalive?: number;
  /** remove all allowed IPs before those below are applied */
  readonly replaceAllowedIps?: boolean;
  readonly allowedIps: readonly AllowedIpChange[];
}

/** A prefix to route to the peer (taken away from any other peer that has it), or to remove if it is this peer's. */
export interface AllowedIpChange {
  readonly prefix: Prefix;
  readonly remove?: boolean;
}
