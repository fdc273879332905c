import { CaptureReader } from '@wirestream/core/capture/capturefile';
import type { Closing, ConnectionSink, Side, TcpConnection } from '@wirestream/core/capture/connection';
import { ConnectionTable } from '@wirestream/core/capture/connections';
import { IpView, Protocol } from '@wirestream/core/capture/ipview';
import { findIp } from '@wirestream/core/capture/link';
import type { Endpoint } from '@wirestream/core/address/endpoint';
import type { Crypto } from '@wirestream/core/noise/crypto';
import type { FlowEnd } from '@wirestream/core/capture/flowkey';

/**
 * A TCP fixture of the kernel as a timeline: what each end's TCP did and said, when, and what the sidecar knows of its handshakes.
 */

export type Role = 'A' | 'B';

export interface RecordedConnection {
  readonly id: number;
  readonly dialler: Role | 'stranger';
  readonly from: Endpoint;
  readonly to: Endpoint;
  /** ms since the first packet */
  readonly synAt: number;
  /** when the SYN was answered; Infinity when it never was */
  establishedAt: number;
  /** when a SYN was answered with a reset; else Infinity */
  refusedAt: number;
}

export type RecordedEvent = { readonly at: number; readonly connection: RecordedConnection } & (
  | { readonly what: 'syn' }
  | { readonly what: 'established' }
  | { readonly what: 'data'; readonly from: Role | 'stranger'; readonly bytes: Uint8Array }
  | { readonly what: 'FIN'; readonly from: Role | 'stranger' }
  | { readonly what: 'RST'; readonly from: Role | 'stranger' }
);

/** A handshake message as the sidecar lists it, with what has to be drawn to make the same one again. */
export interface RecordedHandshake {
  readonly at: number;
  readonly kind: 'initiation' | 'response';
  readonly from: Role;
  /** the sender index, and for a response the receiver index, as on the wire, in hex */
  readonly sender: string;
  readonly receiver: string;
  readonly ephemeralPrivate: Uint8Array;
  /** TAI64N of an initiation */
  readonly timestamp: Uint8Array;
}

/** One end, as the sidecar describes it. */
export interface RecordedSide {
  readonly privateKey: Uint8Array;
  readonly publicKey: Uint8Array;
  /** of the peer that it has configured, which need not be the one that comes */
  readonly peerPublicKey: Uint8Array;
  readonly listenPort: number;
  readonly outerAddress: string;
  readonly tunnelAddresses: readonly string[];
  /** the kernel's counters at the end; null when they were not read */
  readonly rxBytes: number;
}

export interface Recording {
  readonly name: string;
  /** wall clock of the first packet, ms since the Unix epoch */
  readonly startedAt: number;
  /** when the kernel's counters were read, ms since the first packet */
  readonly countersAt: number;
  readonly sides: Readonly<Record<Role, RecordedSide>>;
  readonly presharedKey: Uint8Array | null;
  readonly connections: readonly RecordedConnection[];
  readonly events: readonly RecordedEvent[];
  readonly handshakes: readonly RecordedHandshake[];
  /** as the sidecar counts them */
  readonly handshakesCompleted: number;
  // eslint-disable-next-line @typescript-eslint/no-explicit-any
  readonly sidecar: any;
}

/** Strangers of tcp-connection-blast call from these (fixtures/kernel/README.md). */
const STRANGERS = /^10\.99\.0\.6[6-9]$/;

/** @param crypto to tell which ephemeral key is whose */
export function readRecording(name: string, sidecarText: string, pcap: Uint8Array, crypto: Crypto): Recording {
  // eslint-disable-next-line @typescript-eslint/no-explicit-any
  const sidecar = JSON.parse(sidecarText) as any;
  const derived = sidecar.derived_from_capture;
  const startedAt = (derived.first_packet_unix as number) * 1000;
  const timeline = new Timeline(sidecar.B.outer_address as string);
  readPackets(pcap, timeline);
  return {
    name,
    startedAt,
    countersAt: (sidecar.counters_read_at_unix as number) * 1000 - startedAt,
    sides: { A: side(sidecar, 'A'), B: side(sidecar, 'B') },
    presharedKey: sidecar.preshared_key === null ? null : base64(sidecar.preshared_key as string),
    connections: timeline.connections,
    events: timeline.events,
    handshakes: handshakes(sidecar, timeline.events, crypto),
    handshakesCompleted: derived.handshakes_completed as number,
    sidecar,
  };
}

function readPackets(pcap: Uint8Array, timeline: Timeline): void {
  const table = new ConnectionTable(timeline, [51820, 51821]);
  const view = new IpView();
  let first: number | null = null;
  const reader = new CaptureReader({
    packet: (packet) => {
      const now = packet.seconds * 1000 + packet.nanoseconds / 1e6;
      first ??= now;
      timeline.now = now - first;
      const end = packet.offset + packet.capturedLength;
      const ip = findIp(packet.linkType, packet.bytes, packet.offset, end);
      if (ip < 0 || !view.parse(packet.bytes, ip, end) || view.protocol !== Protocol.tcp) return;
      if (view.parseTcp(packet.bytes)) table.segment(view, packet.bytes, now / 1000);
    },
  });
  reader.push(pcap);
  reader.end();
  table.end();
}

class Timeline implements ConnectionSink {
  now = 0;
  readonly connections: RecordedConnection[] = [];
  readonly events: RecordedEvent[] = [];
  readonly #known = new Map<TcpConnection, RecordedConnection>();

  constructor(private readonly addressOfB: string) {}

  opened(tcp: TcpConnection): void {
    const from = endpointOf(tcp.ends[tcp.dialler]);
    const connection = {
      id: this.connections.length,
      dialler: this.#who(from.address),
      from,
      to: endpointOf(tcp.ends[tcp.acceptor]),
      synAt: this.now,
      establishedAt: Infinity,
      refusedAt: Infinity,
    };
    this.#known.set(tcp, connection);
    this.connections.push(connection);
    this.events.push({ at: this.now, what: 'syn', connection });
  }

  established(tcp: TcpConnection): void {
    const connection = this.#known.get(tcp)!;
    connection.establishedAt = this.now;
    this.events.push({ at: this.now, what: 'established', connection });
  }

  data(tcp: TcpConnection, side: Side, _at: number, bytes: Uint8Array, offset: number, length: number): void {
    const copy = bytes.slice(offset, offset + length);
    this.events.push({ at: this.now, what: 'data', from: this.#side(tcp, side), bytes: copy, ...this.#of(tcp) });
  }

  gap(): void {
    throw new Error('the recording has a gap, which none of them has');
  }

  closing(tcp: TcpConnection, { side, how }: Closing): void {
    const { connection } = this.#of(tcp);
    if (how === 'RST' && connection.establishedAt === Infinity) connection.refusedAt = this.now;
    this.events.push({ at: this.now, what: how, from: this.#side(tcp, side), connection });
  }

  finished(): void {}

  #of(tcp: TcpConnection): { readonly connection: RecordedConnection } {
    return { connection: this.#known.get(tcp)! };
  }

  #side(tcp: TcpConnection, side: Side): Role | 'stranger' {
    return this.#who(tcp.ends[side].address);
  }

  #who(address: string): Role | 'stranger' {
    const isB = address === this.addressOfB || address === 'fd99::2';
    return isB ? 'B' : STRANGERS.test(address) ? 'stranger' : 'A';
  }
}

function endpointOf({ address, port }: FlowEnd): Endpoint {
  return { family: address.includes(':') ? 6 : 4, address, port };
}

// eslint-disable-next-line @typescript-eslint/no-explicit-any
function side(sidecar: any, role: Role): RecordedSide {
  const own = sidecar[role];
  const other = sidecar[role === 'A' ? 'B' : 'A'];
  return {
    privateKey: base64(own.private_key),
    publicKey: base64(own.public_key),
    peerPublicKey: base64(own.at_end?.peer_public_key ?? other.public_key),
    listenPort: own.listen_port,
    outerAddress: own.outer_address,
    tunnelAddresses: own.tunnel_addresses,
    rxBytes: own.at_end?.transfer_rx_bytes ?? 0,
  };
}

/** The sidecar's handshake log; the ephemeral public keys are looked up in the streams, their private halves in the sidecar's list. */
// eslint-disable-next-line @typescript-eslint/no-explicit-any
function handshakes(sidecar: any, events: readonly RecordedEvent[], crypto: Crypto): RecordedHandshake[] {
  const privateKeys = new Map<string, Uint8Array>();
  for (const text of sidecar.handshake_ephemeral_private_keys as string[]) {
    const key = base64(text);
    privateKeys.set(hex(crypto.publicKey(key)), key);
  }
  const streams = wholeStreams(events);
  const out: RecordedHandshake[] = [];
  for (const [seconds, kind, third, fourth, , sixth] of sidecar.derived_from_capture.handshake_log as string[][]) {
    if (kind !== 'initiation' && kind !== 'response') continue;
    const initiation = kind === 'initiation';
    // An initiation is logged with its sender and index, a response with both indices.
    const [sender, receiver] = initiation ? [fourth!, ''] : [third!, fourth!];
    const asked = out.find((earlier) => earlier.kind === 'initiation' && earlier.sender === receiver);
    const from: Role = initiation ? (third === 'from A' ? 'A' : 'B') : asked?.from === 'A' ? 'B' : 'A';
    const start = `${initiation ? '01' : '02'}000000${sender}${receiver}`;
    const ephemeral = find(streams, start);
    out.push({
      at: Number(seconds) * 1000,
      kind,
      from,
      sender,
      receiver,
      ephemeralPrivate: privateKeys.get(ephemeral) ?? new Uint8Array(32),
      timestamp: initiation ? unhex(sixth!) : new Uint8Array(12),
    });
  }
  return out;
}

/** All that went over each direction of each connection, in hex. */
function wholeStreams(events: readonly RecordedEvent[]): string[] {
  const streams = new Map<string, string[]>();
  for (const event of events) {
    if (event.what !== 'data') continue;
    const key = `${event.connection.id} ${event.from}`;
    const parts = streams.get(key) ?? [];
    parts.push(hex(event.bytes));
    streams.set(key, parts);
  }
  return [...streams.values()].map((parts) => parts.join(''));
}

/** The 32 bytes behind the message's beginning. */
function find(streams: readonly string[], start: string): string {
  for (const stream of streams) {
    const at = stream.indexOf(start);
    if (at >= 0) return stream.slice(at + start.length, at + start.length + 64);
  }
  throw new Error(`no message that begins with ${start}`);
}

function base64(text: string): Uint8Array {
  return Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
}

export function hex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

function unhex(text: string): Uint8Array {
  return Uint8Array.from(text.match(/../g) ?? [], (pair) => parseInt(pair, 16));
}
