/**
 * wg-quick files, as plain typed data.
 *
 * Theory of operation. `parseConfig` takes the text of a file and gives a `Config`, or throws a WirestreamError that
 * names file and line; `formatConfig` writes one; what is written and parsed again is equal. A `Config` says what a
 * person asked for and nothing of how it is done: host names stay names (`EndpointName`) until the driver's side has
 * looked them up, and `toDeviceSettings` then derives the change that a device understands. Reading files, looking at
 * their permissions and resolving names are I/O and happen elsewhere.
 *
 * The syntax is that of wg(8) and wg-quick(8): sections and keys in any case, `#` starts a comment wherever it stands,
 * lists are separated by commas or given in several lines. Where those tools let something pass silently that is surely
 * a mistake, it is a warning here; a repeated peer or an unknown key is an error. Values of secret keys never appear in
 * a message. wirestream adds two keys, `Transport = tcp | udp | auto` and `Extensions = on | off`, in both sections.
 */
import type { Prefix } from '../address/ip.js';
import type { Transport } from '../device/settings.js';

export interface Config {
  readonly interface: InterfaceConfig;
  readonly peers: readonly PeerConfig[];
}

export interface InterfaceConfig {
  /** 32 bytes as written, not clamped */
  readonly privateKey?: Uint8Array;
  /** 0–65535; absent or 0: the system chooses */
  readonly listenPort?: number;
  /** 32 bits, unsigned; 0: off */
  readonly fwmark?: number;
  /** what carries peers that do not say otherwise; absent: udp */
  readonly transport?: Transport;
  /** whether peers that do not say otherwise get control messages; absent: they do */
  readonly extensions?: boolean;
  readonly addresses: readonly InterfaceAddress[];
  /** IP addresses of name servers */
  readonly dns: readonly string[];
  /** search domains */
  readonly dnsSearch: readonly string[];
  readonly mtu?: number;
  /** where routes go: 'auto' (also when absent), 'off', or a routing table's number or name */
  readonly table?: string;
  /** shell commands; %i stands for the interface's name */
  readonly preUp: readonly string[];
  readonly postUp: readonly string[];
  readonly preDown: readonly string[];
  readonly postDown: readonly string[];
  /** write the state at `down` back to the file */
  readonly saveConfig: boolean;
  /** with it, a peer's endpoint is written with the port that the peer announced last (control/) */
  readonly saveAnnounced?: boolean;
}

/** An address of the interface and the length of the network it is in; unlike a Prefix it keeps its host bits. */
export interface InterfaceAddress {
  /** 4 or 16 bytes */
  readonly bytes: Uint8Array;
  readonly length: number;
}

export interface PeerConfig {
  /** 32 bytes */
  readonly publicKey: Uint8Array;
  /** 32 bytes */
  readonly presharedKey?: Uint8Array;
  readonly allowedIps: readonly Prefix[];
  readonly endpoint?: EndpointName;
  /** seconds; 0: off */
  readonly persistentKeepalive?: number;
  readonly transport?: Transport;
  readonly extensions?: boolean;
}

/** An endpoint that may still have to be looked up. */
export interface EndpointName {
  /** a name, an IPv4 address, or an IPv6 address without brackets, `%zone` included */
  readonly host: string;
  /** 1–65535 */
  readonly port: number;
}

/** An [Interface] section in which nothing stands. A new one each time, to be filled in. */
export function emptyInterface() {
  return {
    addresses: [] as InterfaceAddress[],
    dns: [] as string[],
    dnsSearch: [] as string[],
    preUp: [] as string[],
    postUp: [] as string[],
    preDown: [] as string[],
    postDown: [] as string[],
    saveConfig: false,
  } satisfies InterfaceConfig;
}
