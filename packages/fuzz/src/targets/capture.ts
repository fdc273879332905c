import fc from 'fast-check';
import { ChartRows } from '@wirestream/core/capture/chartrows';
import { chartSvg } from '@wirestream/core/capture/chartsvg';
import { CaptureReader } from '@wirestream/core/capture/capturefile';
import { Dissector } from '@wirestream/core/capture/dissect';
import { SinkList } from '@wirestream/core/capture/events';
import { JsonLines } from '@wirestream/core/capture/jsonlines';
import { KeyRing } from '@wirestream/core/capture/keyring';
import type { KnownKeys } from '@wirestream/core/capture/keys';
import { coloured, plain } from '@wirestream/core/capture/paint';
import { summary, totals } from '@wirestream/core/capture/report';
import { InnerWriter, UdpWriter } from '@wirestream/core/capture/rewrite';
import { Story } from '@wirestream/core/capture/story';
import { Tally } from '@wirestream/core/capture/tally';
import { isWirestreamError } from '@wirestream/core/device/errors';
import { nativeCrypto } from '@wirestream/core/noise/native';
import { capture, writeCapture, type CaptureShape } from '../arbitraries/captures.js';
import { bytes, chunkLengths, chunks, damage, damaged, type Damage } from '../arbitraries/bytes.js';
import { must, mustEqual, target } from '../target.js';

interface Read {
  readonly packets: { seconds: number; nanoseconds: number; data: Uint8Array; original: number; linkType: number }[];
  readonly secrets: string[];
  readonly damage: number;
  readonly format: string | null;
  /** the error that ended it */
  readonly error: string | null;
}

/** Reads a file in chunks that are overwritten after each call. */
function readCapture(file: Uint8Array, lengths: readonly number[]): Read {
  const out = { packets: [] as Read['packets'], secrets: [] as string[], damage: 0 };
  const reader = new CaptureReader({
    packet: (p) =>
      out.packets.push({
        seconds: p.seconds,
        nanoseconds: p.nanoseconds,
        data: p.data.slice(),
        original: p.originalLength,
        linkType: p.linkType,
      }),
    secrets: (_type, text) => out.secrets.push(new TextDecoder().decode(text)),
    damage: () => out.damage++,
  });
  try {
    for (const chunk of chunks(file, lengths)) {
      const copy = chunk.slice();
      reader.push(copy);
      copy.fill(0xdd);
    }
    reader.end();
  } catch (error) {
    must(isWirestreamError(error), () => `not an error for people: ${String(error)}`);
    return { ...out, format: reader.format, error: error.code };
  }
  return { ...out, format: reader.format, error: null };
}

interface Written {
  readonly shape: CaptureShape;
  readonly lengths: number[];
  readonly damage: Damage;
}

export const captureFiles = target<Written>({
  name: 'capture-file',
  says: 'a capture is read as it was written, however it is cut; damage costs what it hits and nothing before it',
  runs: 120,
  arbitrary: fc.record({ shape: capture, lengths: chunkLengths, damage }),
  check({ shape, lengths, damage: harm }) {
    const file = writeCapture(shape);
    const fine = shape.format === 'pcapng' || shape.nanoseconds;
    const read = readCapture(file, lengths);
    mustEqual([read.error, read.damage, read.format], [null, 0, shape.format], 'how it went');
    mustEqual(
      read.packets,
      shape.packets.map(({ seconds, nanoseconds, data, cut }) => ({
        seconds,
        nanoseconds: fine ? nanoseconds : Math.floor(nanoseconds / 1000) * 1000,
        data,
        original: data.length + cut,
        linkType: shape.linkType,
      })),
      'packets',
    );
    mustEqual(read.secrets, shape.format === 'pcapng' && shape.secrets !== null ? [shape.secrets] : [], 'secrets');

    // What is read before the damage is what it was: the reader does not look back, and it is told of little that lies ahead.
    const wrong = damaged(file, harm);
    const hurt = readCapture(wrong, lengths);
    const intact = packetsBefore(shape, Math.floor(harm.at * file.length));
    for (let i = 0; i + 1 < intact; i++) mustEqual(hurt.packets[i], read.packets[i], `packet ${i} before the damage`);
  },
});

/** How many packets end before an offset of the file. */
function packetsBefore(shape: CaptureShape, offset: number): number {
  let n = 0;
  while (
    n < shape.packets.length &&
    writeCapture({ ...shape, packets: shape.packets.slice(0, n + 1) }).length <= offset
  )
    n++;
  return n;
}

interface Anything {
  readonly file: Uint8Array;
  readonly lengths: number[];
}

export const captureBytes = target<Anything>({
  name: 'capture-bytes',
  says: 'no bytes crash the capture readers; any chunking gives the same packets where nothing is damaged',
  runs: 200,
  arbitrary: fc.record({
    file: fc.oneof(
      bytes(2000),
      fc
        .tuple(capture, fc.array(damage, { maxLength: 3 }))
        .map(([shape, harms]) => harms.reduce(damaged, writeCapture(shape))),
    ),
    lengths: chunkLengths,
  }),
  fromBytes: (file) => ({ file, lengths: [1 + ((file[file.length - 1] ?? 0) & 63)] }),
  check({ file, lengths }) {
    const whole = readCapture(file, [Math.max(1, file.length)]);
    const cut = readCapture(file, lengths);
    const total = whole.packets.reduce((sum, { data }) => sum + data.length, 0);
    must(total <= file.length, 'packets hold more bytes than the file');
    mustEqual(cut.error, whole.error, 'error');
    if (whole.damage === 0 && whole.error === null) mustEqual(cut.packets, whole.packets, 'packets');
  },
});

/** Keys that open the recordings a campaign starts from; set by whoever has files. */
let known: readonly KnownKeys[] = [];

export function useKeys(keys: readonly KnownKeys[]): void {
  known = keys;
}

export const decoding = target<Anything>({
  name: 'decode',
  says: 'no capture, however damaged, crashes what decodes it and tells of it; bytes are counted once; nothing is left waiting',
  runs: 60,
  arbitrary: fc.record({
    file: fc
      .tuple(capture, fc.array(damage, { maxLength: 2 }))
      .map(([shape, harms]) => harms.reduce(damaged, writeCapture(shape))),
    lengths: fc.constantFrom<number[]>([4096], [700, 3]),
  }),
  fromBytes: (file) => ({ file, lengths: [(file[file.length - 1] ?? 0) > 127 ? 4096 : 700] }),
  check({ file, lengths }) {
    decodeAll(file, lengths, known);
  },
});

/** A chart is one document, whatever names and addresses say; each row is between two hosts, and none is from before the beginning. */
function checkChart(chart: ChartRows): void {
  const { rows, lifelines, left } = chart;
  for (const { from, to, time, text } of rows) {
    must(lifelines[from] !== undefined && lifelines[to] !== undefined, () => `no such host: ${text}`);
    must(time >= 0 && text !== '', () => `at ${time}: ${text}`);
  }
  must(lifelines.length <= 24 && rows.length <= 2000, 'more of a chart than anybody can read');
  must(left === 0 || rows.length === 2000, 'events were left out although there was room');
  const svg = chartSvg(chart, 'fuzz <&"');
  const open: string[] = [];
  const plain = svg.replace(
    /<(\/?)([a-z]+)((?: [a-zA-Z-]+(?::[a-z]+)?="[^"<>]*")*)(\/?)>/g,
    (_, end, name, _attributes, isEmpty) => {
      if (end === '/') must(open.pop() === name, `${name} ends what is not open`);
      else if (isEmpty === '') open.push(name as string);
      return '';
    },
  );
  must(open.length === 0 && !/[<>]/.test(plain), 'a chart is not well-formed');
  must(
    [...svg].every((c) => c >= ' ' || c === '\n'),
    'a chart has characters that XML forbids',
  );
  mustEqual(svg.split('<path d="M').length - 1 >= rows.length, true, 'a row has a line');
}

/** Decodes a capture with everything that there is to tell of it. @returns the story, line by line */
export function decodeAll(
  file: Uint8Array,
  lengths: readonly number[],
  keys: readonly KnownKeys[],
): { lines: string[]; tally: Tally } {
  const ring = new KeyRing(nativeCrypto);
  for (const source of keys) ring.add(source);
  const ports = keys.flatMap(({ listenPorts }) => listenPorts);
  const tally = new Tally(
    keys.flatMap(({ addresses }) => addresses),
    ports,
  );
  const lines: string[] = [];
  const line = (text: string) => void lines.push(text);
  let written = 0;
  const write = (part: Uint8Array) => void (written += part.length);
  const story = new Story(line, plain, false);
  const json = new JsonLines((text) => void JSON.parse(text), tally);
  const keyLog = ring.toKeyLog();
  const chart = new ChartRows();
  const sinks = [
    story,
    new Story(line, coloured, true),
    json,
    new InnerWriter(write, file.length % 2 === 0 ? 'pcap' : 'pcapng', 'fuzz'),
    new UdpWriter(write, 'fuzz', keyLog),
    chart,
    tally,
  ];
  const dissector = new Dissector({ crypto: nativeCrypto, ring, sink: new SinkList(sinks), listenPorts: ports });
  const reader = new CaptureReader(dissector);
  try {
    for (const chunk of chunks(file, lengths)) reader.push(chunk.slice());
    reader.end();
  } catch (error) {
    must(isWirestreamError(error), () => `not an error for people: ${String(error)}`);
  }
  dissector.end();
  story.flush();
  json.close();
  chart.finish();
  checkChart(chart);
  for (const text of [...totals(tally, plain), ...summary(tally, coloured)]) line(text);
  must(
    lines.every((text) => !text.includes('\n')),
    'a line is one line',
  );
  // What is written again is bounded by what was read, headers around it, and the keys that were known before.
  must(
    written <= 400 * (reader.packets + 1) + 120 * file.length + 2 * keyLog.length,
    () => `${written} bytes were written for ${file.length}`,
  );
  return { lines, tally };
}
