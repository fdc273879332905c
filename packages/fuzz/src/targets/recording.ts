import fc from 'fast-check';
import { CaptureReader } from '@wirestream/core/capture/capturefile';
import { Dissector } from '@wirestream/core/capture/dissect';
import type { DecodeSink } from '@wirestream/core/capture/events';
import { KeyRing } from '@wirestream/core/capture/keyring';
import { nativeCrypto } from '@wirestream/core/noise/native';
import { chunkLengths, concat, noise } from '../arbitraries/bytes.js';
import { kernelRecords } from '../kernelreader.js';
import { must, mustEqual, target, type Target } from '../target.js';
import { compareWithKernel, readToTheEnd } from './reader.js';

/** One direction of a recorded TCP connection: the bytes that the kernel sent, and where its records lie in them. */
export interface RecordedStream {
  readonly name: string;
  readonly bytes: Uint8Array;
  readonly records: readonly { readonly at: number; readonly length: number }[];
}

/** All directions of all connections of a capture that is whole and carries records. */
export function recordedStreams(name: string, file: Uint8Array): RecordedStream[] {
  const streams = new Map<string, Uint8Array[]>();
  const nothing = () => undefined;
  const sink: DecodeSink = {
    began: nothing,
    ended: nothing,
    interface: nothing,
    message: nothing,
    connectionOpened: nothing,
    connectionEstablished: nothing,
    connectionClosing: nothing,
    connectionFinished: nothing,
    skipped: nothing,
    gap: nothing,
    notice: nothing,
  };
  const dissector = new Dissector({ crypto: nativeCrypto, ring: new KeyRing(nativeCrypto), sink });
  const inner = dissector.data.bind(dissector);
  dissector.data = (connection, side, position, bytes, offset, length) => {
    const key = `${name} ${connection.id}.${side}`;
    const parts = streams.get(key) ?? [];
    parts.push(bytes.slice(offset, offset + length));
    streams.set(key, parts);
    inner(connection, side, position, bytes, offset, length);
  };
  const reader = new CaptureReader(dissector);
  reader.push(file);
  reader.end();
  dissector.end();
  return [...streams].flatMap(([key, parts]) => {
    const bytes = concat(parts);
    const records = kernelRecords(bytes);
    return records.length === 0 ? [] : [{ name: key, bytes, records }];
  });
}

interface Cutting {
  /** which stream, and which part of it, as fractions of a thousand */
  readonly stream: number;
  readonly from: number;
  readonly harms: {
    readonly at: number;
    readonly how: 'flip' | 'delete' | 'insert';
    readonly length: number;
  }[];
  readonly lengths: number[];
}

/** Records of a stream that are looked at in one run. */
const WINDOW = 40;

/** What the kernel recorded, cut, damaged and in other pieces. */
export function recordingTarget(streams: readonly RecordedStream[]): Target {
  return target<Cutting>({
    name: 'recording',
    says: 'of what the kernel sent, every record that damage did not touch is found, whatever was cut out, changed or put in between',
    runs: 150,
    arbitrary: fc.record({
      stream: fc.nat({ max: 999 }),
      from: fc.nat({ max: 999 }),
      harms: fc.array(
        fc.record({
          at: fc.nat({ max: 999 }),
          how: fc.constantFrom('flip' as const, 'delete' as const, 'insert' as const),
          length: fc.integer({ min: 1, max: 200 }),
        }),
        { maxLength: 5 },
      ),
      lengths: chunkLengths,
    }),
    check({ stream: which, from, harms, lengths }) {
      const stream = streams[which % streams.length]!;
      const first = Math.floor((from / 1000) * stream.records.length);
      const window = stream.records.slice(first, first + WINDOW);
      const begin = window[0]!.at;
      const end = window[window.length - 1]!.at + window[window.length - 1]!.length;
      const harmed = applyHarms(stream.bytes.subarray(begin, end), harms);
      const whole = window.flatMap(({ at, length }) => {
        const there = harmed.place(at - begin, at - begin + length);
        if (there < 0) return [];
        const record = stream.bytes.subarray(at, at + length);
        return [{ at: there, message: record.slice(record[5] === 1 ? 12 : 8) }];
      });
      const { reading, stream: all } = readToTheEnd({ bytes: harmed.bytes, whole }, lengths);
      mustEqual(
        reading.accepted.slice(0, whole.length).map(({ at, message }) => ({ at, message })),
        whole,
        `untouched records of ${stream.name}`,
      );
      if (harms.length === 0 && window.every((r, i) => i === 0 || r.at === window[i - 1]!.at + window[i - 1]!.length))
        must(reading.reader.resyncs === 0, 'no search in an undamaged stream');
      compareWithKernel(all, reading);
    },
  });
}

/** Damages bytes, and says where what was not touched lies afterwards. */
function applyHarms(
  data: Uint8Array,
  harms: Cutting['harms'],
): { bytes: Uint8Array; place(from: number, to: number): number } {
  const sorted = harms
    .map((harm) => ({ ...harm, at: Math.floor((harm.at / 1000) * data.length) }))
    .sort((a, b) => a.at - b.at);
  const parts: Uint8Array[] = [];
  /** untouched ranges and where they went */
  const kept: { from: number; to: number; shift: number }[] = [];
  let at = 0;
  let length = 0;
  const keep = (to: number) => {
    kept.push({ from: at, to, shift: length - at });
    parts.push(data.subarray(at, to));
    length += to - at;
    at = to;
  };
  for (const harm of sorted) {
    if (harm.at < at) continue;
    keep(harm.at);
    if (harm.how === 'flip') {
      parts.push(Uint8Array.of((data[at] ?? 0) ^ 0x41));
      length++;
      at = Math.min(data.length, at + 1);
    } else if (harm.how === 'delete') at = Math.min(data.length, at + harm.length);
    else {
      parts.push(noise(harm.length, harm.at));
      length += harm.length;
    }
  }
  keep(data.length);
  return {
    bytes: concat(parts),
    place(from, to) {
      const range = kept.find((one) => one.from <= from && to <= one.to);
      return range === undefined ? -1 : from + range.shift;
    },
  };
}
