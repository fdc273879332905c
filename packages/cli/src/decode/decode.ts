import { CaptureReader } from '@wirestream/core/capture/capturefile';
import { ChartRows } from '@wirestream/core/capture/chartrows';
import { chartSvg } from '@wirestream/core/capture/chartsvg';
import { Dissector } from '@wirestream/core/capture/dissect';
import { SinkList, type DecodeSink } from '@wirestream/core/capture/events';
import { JsonLines } from '@wirestream/core/capture/jsonlines';
import { KeyRing } from '@wirestream/core/capture/keyring';
import type { KnownKeys } from '@wirestream/core/capture/keys';
import type { Paint } from '@wirestream/core/capture/paint';
import { summary, totals } from '@wirestream/core/capture/report';
import { InnerWriter, UdpWriter } from '@wirestream/core/capture/rewrite';
import { Story } from '@wirestream/core/capture/story';
import { Tally } from '@wirestream/core/capture/tally';
import { isWirestreamError, WirestreamError } from '@wirestream/core/device/errors';
import { named } from './errors.js';
import type { Provider } from './provider.js';

export interface DecodeOptions {
  /** what to call the capture in messages */
  readonly file: string;
  readonly keys: readonly KnownKeys[];
  /** JSON Lines, the timeline, or neither (the capture itself goes to standard output) */
  readonly form: 'json' | 'text' | 'none';
  /** only what is said at the end */
  readonly summary: boolean;
  /** one line for each message */
  readonly all: boolean;
  readonly paint: Paint;
  readonly provider: Provider;
  /** name and version, for captures that are written */
  readonly application: string;
  /** takes one line of the result, without its end */
  readonly line: (line: string) => void;
  readonly inner?: { readonly write: (bytes: Uint8Array) => void; readonly format: 'pcap' | 'pcapng' };
  readonly udp?: { readonly write: (bytes: Uint8Array) => void; readonly withKeys: boolean };
  /** takes a sequence chart, at the end */
  readonly svg?: (bytes: Uint8Array) => void;
}

export interface DecodeResult {
  readonly tally: Tally;
  /** what was wrong with the capture itself, in the order in which it was found; a few at most */
  readonly errors: readonly WirestreamError[];
  /** things to know that are no errors */
  readonly remarks: readonly string[];
}

/**
 * Decodes a capture from its bytes. Call `push` for each chunk, then `end`.
 */
export class Decoder {
  readonly #tally: Tally;
  readonly #story: Story | null;
  readonly #json: JsonLines | null;
  readonly #inner: InnerWriter | null;
  readonly #udp: UdpWriter | null;
  readonly #chart: ChartRows | null;
  readonly #dissector: Dissector;
  readonly #reader: CaptureReader;

  constructor(private readonly options: DecodeOptions) {
    const ring = new KeyRing(options.provider.crypto);
    for (const known of options.keys) ring.add(known);
    const ports = options.keys.flatMap(({ listenPorts }) => listenPorts);
    const addresses = options.keys.flatMap((known) => known.addresses);
    this.#tally = new Tally(addresses, ports);
    const { inner, udp, line, application } = options;
    this.#story = options.form === 'text' && !options.summary ? new Story(line, options.paint, options.all) : null;
    this.#json = options.form === 'json' ? new JsonLines(line, this.#tally, options.summary) : null;
    this.#inner = inner === undefined ? null : new InnerWriter(inner.write, inner.format, application);
    this.#udp = udp === undefined ? null : new UdpWriter(udp.write, application, udp.withKeys ? ring.toKeyLog() : null);
    this.#chart = options.svg === undefined ? null : new ChartRows();
    const all = [this.#story, this.#json, this.#inner, this.#udp, this.#chart, this.#tally];
    const sinks = all.filter((sink) => sink !== null);
    const sink: DecodeSink = sinks.length === 1 ? this.#tally : new SinkList(sinks);
    this.#dissector = new Dissector({ ...options.provider, ring, sink, listenPorts: ports });
    this.#reader = new CaptureReader(this.#dissector);
  }

  /** @throws WirestreamError when this is no capture */
  push(chunk: Uint8Array): void {
    try {
      this.#reader.push(chunk);
    } catch (error) {
      throw named(error, this.options.file);
    }
  }

  /** The input stalls: says what would wait for more. */
  pause(): void {
    this.#story?.flush();
  }

  /**
   * @param broken what kept the rest of the file from being read, if anything did
   * @throws WirestreamError when there was nothing to read
   */
  end(broken?: WirestreamError): DecodeResult {
    try {
      if (broken === undefined) this.#reader.end();
      else {
        if (this.#reader.format === null) throw broken;
        this.#dissector.damage(broken);
      }
    } catch (error) {
      throw named(error, this.options.file);
    }
    this.#dissector.end();
    this.#story?.flush();
    const { options } = this;
    const tally = this.#tally;
    if (this.#chart !== null) {
      this.#chart.finish();
      options.svg!(new TextEncoder().encode(chartSvg(this.#chart, options.file)));
    }
    if (this.#json !== null) this.#json.close();
    else if (options.form === 'text') {
      const lines = options.summary ? summary(tally, options.paint) : ['', ...totals(tally, options.paint)];
      for (const text of lines) options.line(text);
    }
    const errors = tally.notices
      .filter(({ isError }) => isError)
      .map(({ code, message, hint }) => named(new WirestreamError(code, message, hint), options.file))
      .filter(isWirestreamError);
    return { tally, errors, remarks: this.#remarks() };
  }

  #remarks(): string[] {
    const out: string[] = [];
    const plain = this.#inner?.notWritten ?? 0;
    if (plain > 0) out.push(`${plain} decrypted messages hold no IP packet and were not written`);
    const long = this.#udp?.notWritten ?? 0;
    if (long > 0) out.push(`${long} messages are too long for a UDP packet and were not written`);
    return out;
  }
}
