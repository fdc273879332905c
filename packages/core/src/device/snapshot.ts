import type { Endpoint } from '../address/endpoint.js';
import type { Prefix } from '../address/ip.js';
import type { Transport } from './settings.js';

/**
 * The state of a device at one moment, as `show` and the UAPI print it. Plain data (structured-clone friendly): it
 * crosses from the engine to the main thread. Holds secrets; whoever prints it decides what to hide.
 */
export interface DeviceSnapshot {
  /** 32 bytes, clamped; null when none is set */
  readonly privateKey: Uint8Array | null;
  /** 32 bytes; null when no private key is set */
  readonly publicKey: Uint8Array | null;
  /** the port listened on; 0 when none is */
  readonly listenPort: number;
  /** 0 when off */
  readonly fwmark: number;
  readonly transport: Transport;
  /** whether peers that do not say otherwise get control messages; absent where that is not known */
  readonly extensions?: boolean;
  /** in the order in which they were added */
  readonly peers: readonly PeerSnapshot[];
  readonly pending: PendingSnapshot;
  /** packets and messages dropped that belong to no peer, by reason */
  readonly drops: Readonly<Record<string, number>>;
  /** the network interface as it is now, whatever it was made as; absent where there is none, or it cannot be seen */
  readonly interface?: InterfaceSnapshot;
}

export interface InterfaceSnapshot {
  readonly name: string;
  /** bytes */
  readonly mtu: number;
  readonly up: boolean;
  /** in another network namespace than the sockets */
  readonly elsewhere: boolean;
}

export interface PeerSnapshot {
  /** 32 bytes */
  readonly publicKey: Uint8Array;
  /** 32 bytes; null when none is set */
  readonly presharedKey: Uint8Array | null;
  readonly endpoint: Endpoint | null;
  readonly allowedIps: readonly Prefix[];
  /** wall clock of the last completed handshake, ms since the Unix epoch; 0 when there was none */
  readonly lastHandshake: number;
  /** bytes of messages, record headers not counted, as WireGuard counts over UDP */
  readonly rxBytes: number;
  readonly txBytes: number;
  /** seconds; 0 when off */
  readonly persistentKeepalive: number;
  /** what carries this peer now: its own choice, else the device's */
  readonly transport: Transport;
  /** whether it gets control messages: its own choice, else the device's; absent where that is not known */
  readonly extensions?: boolean;
  /** what it announced about itself; absent where it has not, or not under the present keys */
  readonly announced?: AnnouncedSnapshot;
  /** with `Transport = auto`: what carries it now */
  readonly path?: PathSnapshot;
  /** the TCP connections of this peer, oldest first; empty over UDP */
  readonly connections: readonly ConnectionSnapshot[];
  /** what its connections that have ended came to; absent where that is not known */
  readonly ended?: EndedSnapshot;
  /** packets and messages dropped, by reason; of connections that have ended also the records */
  readonly drops: Readonly<Record<string, number>>;
}

/** What carries a peer now, where that is left to us. */
export interface PathSnapshot {
  readonly transport: 'tcp' | 'udp';
  /** why, for people */
  readonly reason: string;
  /** times that it moved */
  readonly moves: number;
}

/** What a peer announced in its last control message. */
export interface AnnouncedSnapshot {
  /** of the control message */
  readonly version: number;
  /** 0 when it does not listen there */
  readonly tcpPort: number | null;
  readonly udpPort: number | null;
  /** as seen from here the peer is behind an address translation */
  readonly translated: boolean;
  /** names of control/abilities.ts */
  readonly abilities: readonly string[];
}

/** What is left of a peer's TCP connections that have ended, beside their drops. */
export interface EndedSnapshot {
  /** how many there were */
  readonly connections: number;
  readonly resyncs: number;
  readonly skippedBytes: number;
}

/** One TCP connection of a peer. */
export interface ConnectionSnapshot {
  /** increases from connection to connection of a device */
  readonly id: number;
  /** outbound: dialled from here; inbound: accepted and promoted */
  readonly direction: 'outbound' | 'inbound';
  /**
   * dialling: no answer to the SYN yet; established: open, but the peer has not authenticated on it; authenticated: it has;
   * draining: replaced, only what is queued still goes out
   */
  readonly state: 'dialling' | 'established' | 'authenticated' | 'draining';
  /** null while it is not known */
  readonly local: Endpoint | null;
  readonly remote: Endpoint;
  /** since it was dialled or accepted */
  readonly ageMs: number;
  /** since a handshake completed on it; null when none has */
  readonly lastHandshakeAgeMs: number | null;
  /** waiting to be written */
  readonly queuedBytes: number;
  /** age of the oldest record waiting to be written; 0 when none is */
  readonly oldestQueuedMs: number;
  /** times that the reader had to search for a header */
  readonly resyncs: number;
  /** bytes that it skipped in doing so */
  readonly skippedBytes: number;
  /** whether outgoing messages take this connection now */
  readonly active: boolean;
  /** records dropped, by reason */
  readonly drops: Readonly<Record<string, number>>;
}

/** The list of accepted connections that have not carried an authenticated message yet. */
export interface PendingSnapshot {
  readonly size: number;
  /** connections closed from the list or not let in, by reason */
  readonly refusals: Readonly<Record<string, number>>;
}
