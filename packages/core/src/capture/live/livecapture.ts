import type { CaptureWriter, PacketRemarks, Stamp } from '../capturewriter.js';
import type { Datagram } from '../represent.js';
import { bytes as bytesText, count } from '../words.js';
import { EventReader, Flag, Kind, type ConnectionNews, type EndpointNews, type TapEvent } from './events.js';

/**
 * Turns the events of a watched device (events.ts) into a capture.
 *
 * Theory of operation. What a device decides about a message or packet is told behind it, so each is held until the next one comes (or `flush`): then
 * all that belongs to it stands in its comment. What belongs to none goes into the comment of the next packet, or into the statistics when
 * none comes. A message that was found by searching and then turned out to be none is not written at all.
 */
interface Held {
  readonly stamp: Stamp;
  readonly inbound: boolean;
  readonly isInner: boolean;
  readonly found: boolean;
  readonly header: number;
  readonly connection: number;
  readonly ends: Datagram | null;
  readonly length: number;
  readonly bytes: Uint8Array;
  readonly remarks: string[];
  isNone: boolean;
}

/** Reasons that say that a message which was found by searching is none. */
const NO_MESSAGE = ['malformed-message', 'bad-data', 'bad-mac1', 'bad-initiation', 'bad-response', 'bad-cookie'];
/** Remarks that wait for a packet. */
const REMARKS_MAX = 64;
/** Names that are remembered. */
const NAMES_MAX = 65_536;
const UNKNOWN: Datagram = { source: '0.0.0.0', destination: '0.0.0.0', sourcePort: 0, destinationPort: 0 };

export class LiveCapture {
  /** events that did not fit because they were fetched too slowly */
  lost = 0;
  readonly #reader = new EventReader((event) => this.#event(event));
  readonly #connections = new Map<number, ConnectionNews>();
  readonly #endpoints = new Map<number, EndpointNews>();
  readonly #peers = new Map<number, string>();
  readonly #remarks: string[] = [];
  #held: Held | null = null;
  #last: Stamp = { seconds: 0, nanoseconds: 0 };

  /** @param limit packets that are written at most */
  constructor(
    private readonly writer: CaptureWriter,
    private readonly limit = Infinity,
  ) {}

  /** Whether as many packets have been written as were wanted. */
  get isFull(): boolean {
    return this.writer.packets >= this.limit;
  }

  /** Takes bytes of the device's events. @throws WirestreamError capture-stream */
  push(chunk: Uint8Array): void {
    this.#reader.push(chunk);
  }

  /** Writes what is held: nothing more is being told at the moment. */
  flush(): void {
    const held = this.#held;
    this.#held = null;
    if (held === null || held.isNone || this.isFull) return;
    const { writer } = this;
    const comment = this.#comment(held);
    const remarks: PacketRemarks = {
      direction: held.inbound ? 'inbound' : 'outbound',
      ...(comment === '' ? {} : { comment }),
    };
    if (held.isInner) return writer.inner(held.stamp, held.bytes, held.length, remarks);
    const { outer, records } = writer.contents;
    if (outer) writer.outer(held.stamp, held.ends ?? UNKNOWN, held.bytes.subarray(held.header), held.length, remarks);
    if (records && held.header > 0) writer.record(held.stamp, held.bytes, held.header + held.length, remarks);
  }

  /** Ends the capture. */
  finish(): void {
    this.flush();
    const remarks = this.#remarks.splice(0).join('\n');
    this.writer.finish(this.#last, this.lost, remarks === '' ? undefined : remarks);
  }

  #comment(held: Held): string {
    const place = held.connection === 0 ? [] : [`TCP connection ${held.connection}`];
    return [...place, ...this.#remarks.splice(0), ...held.remarks].join('\n');
  }

  #event(event: TapEvent): void {
    this.#last = stampOf(event.time);
    switch (event.kind) {
      case Kind.message:
      case Kind.inner:
        this.flush();
        this.#held = this.#hold(event);
        break;
      case Kind.keys:
        this.flush();
        this.writer.secrets(event.text);
        break;
      case Kind.endpoint:
        remember(this.#endpoints, event.endpoint, JSON.parse(event.text) as EndpointNews);
        break;
      case Kind.peer:
        remember(this.#peers, event.peer, event.text);
        break;
      case Kind.opened: {
        const news = JSON.parse(event.text) as ConnectionNews;
        remember(this.#connections, event.connection, news);
        const was = (event.flags & Flag.before) !== 0 ? 'was there before' : 'is open';
        this.#remark(
          event,
          `TCP connection ${event.connection} ${was}: ${this.#ofConnection(event.connection)}`,
          false,
        );
        break;
      }
      case Kind.closed: {
        const why = event.text === '' ? 'closed from here' : `closed: ${event.text}`;
        this.#remark(event, `TCP connection ${event.connection} ${why}`);
        break;
      }
      case Kind.promoted:
        this.#remark(event, `promotion: TCP connection ${event.connection} is ${this.#ofPeer(event.peer)} now`);
        break;
      case Kind.activated:
        this.#remark(
          event,
          `carrier change: messages to ${this.#ofPeer(event.peer)} take TCP connection ${event.connection} now`,
        );
        break;
      case Kind.moved:
        this.#remark(event, `transport change: messages to ${this.#ofPeer(event.peer)} take ${event.text}`);
        break;
      case Kind.dropped:
        this.#dropped(event);
        break;
      case Kind.resync: {
        const passed = bytesText(event.length);
        this.flush();
        this.#remark(event, `resync: ${passed} passed over on TCP connection ${event.connection}`, false);
        break;
      }
      case Kind.lost:
        this.lost += event.length;
        this.flush();
        this.#remark(
          event,
          `${count(event.length, 'event')} missing here: they came faster than they were written`,
          false,
        );
    }
  }

  #dropped(event: TapEvent): void {
    const { text, length } = event;
    const held = this.#held;
    if ((event.flags & Flag.before) === 0 || held === null) {
      this.#remark(event, `dropped: ${text}${length > 1 ? ` (${length})` : ''}`, false);
      return;
    }
    if (held.found && NO_MESSAGE.includes(text)) held.isNone = true;
    else held.remarks.push(`dropped: ${text}`);
  }

  /** @param isOwn whether it may be about the packet that is held */
  #remark({ flags }: TapEvent, text: string, isOwn = true): void {
    const held = isOwn && (flags & Flag.before) !== 0 ? this.#held : null;
    const remarks = held === null ? this.#remarks : held.remarks;
    if (remarks.length < REMARKS_MAX) remarks.push(text);
  }

  #hold(event: TapEvent): Held {
    const isInner = event.kind === Kind.inner;
    const carrier = isInner
      ? undefined
      : event.connection > 0
        ? this.#connections.get(event.connection)
        : this.#endpoints.get(event.endpoint);
    return {
      stamp: this.#last,
      inbound: event.isInbound,
      isInner,
      found: (event.flags & Flag.found) !== 0,
      header: event.header,
      connection: event.connection,
      ends: carrier === undefined ? null : datagramOf(carrier, event.isInbound),
      length: event.length,
      bytes: event.bytes.slice(),
      remarks: [],
      isNone: false,
    };
  }

  #ofPeer(number: number): string {
    return `peer ${this.#peers.get(number) ?? 'unknown'}`;
  }

  #ofConnection(id: number): string {
    const { direction, remote, remotePort, local, localPort } = this.#connections.get(id)!;
    const mine = `${bracketed(local ?? '?')}:${localPort}`;
    const theirs = `${bracketed(remote)}:${remotePort}`;
    return direction === 'outbound' ? `dialled, ${mine} → ${theirs}` : `accepted, ${theirs} → ${mine}`;
  }
}

function stampOf(ms: number): Stamp {
  const seconds = Math.floor(ms / 1000);
  return { seconds, nanoseconds: Math.min(999_999_999, Math.max(0, Math.round((ms - seconds * 1000) * 1e6))) };
}

function datagramOf({ remote, remotePort, local, localPort }: EndpointNews, isInbound: boolean): Datagram {
  const mine = local ?? (remote.includes(':') ? '::' : '0.0.0.0');
  return isInbound
    ? { source: remote, sourcePort: remotePort, destination: mine, destinationPort: localPort }
    : { source: mine, sourcePort: localPort, destination: remote, destinationPort: remotePort };
}

function bracketed(address: string): string {
  return address.includes(':') ? `[${address}]` : address;
}

function remember<T>(names: Map<number, T>, number: number, value: T): void {
  if (names.size >= NAMES_MAX) names.clear();
  names.set(number, value);
}
