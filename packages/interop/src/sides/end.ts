import type { Side } from '../scenario/plan.js';

/** One end of the tunnel as the scenarios drive it. All methods throw an Error that holds what the failed program said. */
export interface End {
  readonly side: Side;
  /** for temporary files of the scripts that run here */
  readonly folder: string;
  /** interface that the tunnel's packets leave by */
  readonly outerDevice: string;
  /** Makes the interface with its keys and addresses, without the peer's endpoint, and takes it up. */
  up(): Promise<void>;
  /** Takes it away, whatever state it is in. */
  remove(): Promise<void>;
  /** Gives it the peer's endpoint; over TCP it dials now, over UDP with the next packet. */
  setEndpoint(endpoint: string): Promise<void>;
  setKeepalive(seconds: number): Promise<void>;
  /** Endpoint, counters and latest handshake of the peer. */
  peer(): Promise<PeerState>;
  /** What `show` says of the tunnel, for people. */
  shown(): Promise<string>;
  /** Runs a shell script here. @returns what it printed @throws Error when it fails, unless told that it may */
  sh(script: string, limit?: number, mayFail?: boolean): Promise<string>;
  /** Moves its outer address of a family. */
  move(family: 4 | 6, from: string, to: string): Promise<void>;
  /** Begins captures of the outer and the inner interface. */
  startCapture(): Promise<void>;
  /** Ends them. @returns captures, and the log since `up`, by name of file */
  collect(): Promise<Map<string, Buffer>>;
}

export interface PeerState {
  readonly endpoint: string;
  /** seconds since the Unix epoch of that end's clock; 0 for none */
  readonly latestHandshake: number;
  /** bytes of messages */
  readonly rx: number;
  readonly tx: number;
  readonly allowedIps: string;
  readonly keepalive: string;
}

/** The only peer in what `wg show NAME dump` prints. */
export function parseDump(text: string): PeerState {
  const peers = text.trim().split('\n').slice(1);
  if (peers.length !== 1) throw new Error(`one peer was expected in: ${text.trim()}`);
  const [, , endpoint, allowedIps, handshake, rx, tx, keepalive] = peers[0]!.split('\t');
  return {
    endpoint: endpoint!,
    allowedIps: allowedIps!,
    latestHandshake: Number(handshake),
    rx: Number(rx),
    tx: Number(tx),
    keepalive: keepalive!,
  };
}
