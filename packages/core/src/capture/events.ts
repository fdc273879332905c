import type { Closing, Side, TcpConnection } from './connection.js';
import type { Message } from './message.js';
import type { CaptureInterface } from './packet.js';
import type { GapReason } from './reassembly.js';
import type { SkipReason } from './recordstream.js';

/** When something was seen: the packet that was being looked at. One object is reused. */
export interface Moment {
  frame: number;
  seconds: number;
  nanoseconds: number;
}

/** Something that could not be decoded, or not fully, and why. */
export interface Notice {
  readonly code:
    /** part of the file is damaged or cut off */
    | 'capture-damaged'
    | 'capture-truncated'
    /** the capture ends inside a record */
    | 'record-cut'
    /** an interface has a link type that is not understood */
    | 'link-unknown'
    /** IP datagrams whose fragments are not all there */
    | 'fragments-lost'
    /** a secrets block that holds no key log */
    | 'secrets-unreadable';
  readonly message: string;
  readonly hint?: string;
  /** whether the capture itself is at fault, so that the exit code says so */
  readonly isError: boolean;
}

/** Takes what a dissector finds, in the order of the capture. Objects are reused: copy what is kept. */
export interface DecodeSink {
  /** the first packet, whatever is in it */
  began(at: Moment): void;
  /** the last packet has been looked at; only what was incomplete comes after this */
  ended(at: Moment, packets: number): void;
  interface(description: CaptureInterface): void;
  message(message: Message): void;
  connectionOpened(connection: TcpConnection, at: Moment): void;
  connectionEstablished(connection: TcpConnection, at: Moment): void;
  connectionClosing(connection: TcpConnection, closing: Closing, at: Moment): void;
  /** nothing more will come of it */
  connectionFinished(connection: TcpConnection, at: Moment): void;
  /** [position, position + length) of the stream belongs to no record */
  skipped(connection: TcpConnection, side: Side, position: number, length: number, why: SkipReason, at: Moment): void;
  /** … is missing from the capture */
  gap(connection: TcpConnection, side: Side, position: number, length: number, why: GapReason, at: Moment): void;
  notice(notice: Notice, at: Moment): void;
}

/** Hands everything on to several sinks, in order. */
export class SinkList implements DecodeSink {
  constructor(private readonly sinks: readonly DecodeSink[]) {}

  began(at: Moment): void {
    for (const sink of this.sinks) sink.began(at);
  }

  ended(at: Moment, packets: number): void {
    for (const sink of this.sinks) sink.ended(at, packets);
  }

  interface(description: CaptureInterface): void {
    for (const sink of this.sinks) sink.interface(description);
  }

  message(message: Message): void {
    for (const sink of this.sinks) sink.message(message);
  }

  connectionOpened(connection: TcpConnection, at: Moment): void {
    for (const sink of this.sinks) sink.connectionOpened(connection, at);
  }

  connectionEstablished(connection: TcpConnection, at: Moment): void {
    for (const sink of this.sinks) sink.connectionEstablished(connection, at);
  }

  connectionClosing(connection: TcpConnection, closing: Closing, at: Moment): void {
    for (const sink of this.sinks) sink.connectionClosing(connection, closing, at);
  }

  connectionFinished(connection: TcpConnection, at: Moment): void {
    for (const sink of this.sinks) sink.connectionFinished(connection, at);
  }

  skipped(connection: TcpConnection, side: Side, position: number, length: number, why: SkipReason, at: Moment): void {
    for (const sink of this.sinks) sink.skipped(connection, side, position, length, why, at);
  }

  gap(connection: TcpConnection, side: Side, position: number, length: number, why: GapReason, at: Moment): void {
    for (const sink of this.sinks) sink.gap(connection, side, position, length, why, at);
  }

  notice(notice: Notice, at: Moment): void {
    for (const sink of this.sinks) sink.notice(notice, at);
  }
}
