import type { Namespace } from './netns.js';
import type { FileInterface, FilePeer } from './wgquick.js';

/** A WireGuard interface of any implementation, up in a namespace. */
export interface Tunnel {
  readonly name: string;
  /** where it was started, and where its sockets are */
  readonly home: Namespace;
  /** of the process behind it */
  readonly pid: number;
  /** Takes it down the orderly way. */
  down(): Promise<void>;
  /** SIGKILL, and nothing cleaned up. */
  kill(): Promise<void>;
}

export interface TunnelOptions {
  readonly iface: FileInterface;
  readonly peers: readonly FilePeer[];
  readonly name?: string;
}

/** One peer as `wg show NAME dump` has it; what is `(none)` there is null. */
export interface DumpedPeer {
  readonly publicKey: string;
  readonly presharedKey: string | null;
  readonly endpoint: string | null;
  readonly allowedIps: readonly string[];
  /** Unix seconds; 0: never */
  readonly latestHandshake: number;
  readonly rx: number;
  readonly tx: number;
  readonly keepalive: string;
}

/** `wg show NAME dump`, taken apart. */
export async function wgDump(ns: Namespace, name: string): Promise<DumpedPeer[]> {
  const text = await ns.must(['wg', 'show', name, 'dump']);
  return text
    .trimEnd()
    .split('\n')
    .slice(1)
    .map((line) => {
      const [publicKey, psk, endpoint, allowed, handshake, rx, tx, keepalive] = line.split('\t') as string[];
      return {
        publicKey: publicKey!,
        presharedKey: none(psk),
        endpoint: none(endpoint),
        allowedIps: none(allowed)?.split(',') ?? [],
        latestHandshake: Number(handshake),
        rx: Number(rx),
        tx: Number(tx),
        keepalive: keepalive!,
      };
    });
}

const none = (text: string | undefined): string | null => (text === undefined || text === '(none)' ? null : text);
