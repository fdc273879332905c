import { describe, expect, jest, test } from '@jest/globals';
import fc from 'fast-check';
import { PcapWriter } from '../../src/capture/pcapwriter.js';
import { isWirestreamError } from '../../src/device/errors.js';
import {
  decode,
  fixtureFile,
  fixtureKeys,
  fixtureNames,
  messagesOf,
  packetsOf,
  type Decoded,
  type Line,
} from './decode.js';

/** A packet of a fixture, and what has been done to it. */
interface Packet {
  readonly seconds: number;
  readonly nanoseconds: number;
  readonly data: Uint8Array;
  readonly original: number;
  /** its bytes are not what they were */
  readonly flipped?: boolean;
}

function write(packets: readonly Packet[]): Uint8Array {
  const writer = new PcapWriter({ linkType: 1, nanoseconds: true });
  const parts = packets.map((p) => writer.packet(p.seconds, p.nanoseconds, p.data, p.original));
  return new Uint8Array(Buffer.concat([writer.header(), ...parts]));
}

interface Original {
  readonly packets: Packet[];
  readonly file: Uint8Array;
  readonly decoded: Decoded;
}

/** Of the large ones the beginning is enough to be damaged over and over, bytes. */
const LONG = process.env['WIRESTREAM_LONG'] === '1';
const ENOUGH = LONG ? Infinity : 100_000;
const originals = new Map<string, Original>();

function originalOf(name: string): Original {
  let found = originals.get(name);
  if (found === undefined) {
    const packets: Packet[] = [];
    let size = 0;
    for (const packet of packetsOf(fixtureFile(`${name}.pcap`))) {
      if (size > ENOUGH) break;
      packets.push(packet);
      size += packet.data.length;
    }
    const file = write(packets);
    found = { packets, file, decoded: decode(file, [fixtureKeys(name)]) };
    originals.set(name, found);
  }
  return found;
}

/** What identifies a message, whatever became of it. */
function keyOf(line: Line): string {
  const wg = line['wg'] as Line;
  return [wg['type'], wg['sender'], wg['receiver'], wg['counter'], line['length']].join(' ');
}

interface Span {
  /** source and destination, ports included */
  readonly flow: string;
  readonly sequence: number;
  readonly isSyn: boolean;
  /** payload bytes that are there */
  readonly captured: number;
  /** … and that there were */
  readonly total: number;
  readonly isUdp: boolean;
  readonly headers: number;
}

/** Where a packet's payload belongs: the plainest parser that these captures need (Ethernet, IP without options or fragments). */
function spanOf(packet: Packet): Span | null {
  const { data } = packet;
  const isV4 = data[12] === 8 && data[13] === 0;
  if (!isV4 && !(data[12] === 0x86 && data[13] === 0xdd)) return null;
  const transport = isV4 ? 34 : 54;
  const protocol = data[isV4 ? 23 : 20]!;
  if (
    data.length < transport + 20 ||
    (protocol === 6 && data.length < transport + (data[transport + 12]! >> 4) * 4) ||
    (protocol !== 6 && protocol !== 17)
  )
    return null;
  const view = new DataView(data.buffer, data.byteOffset);
  const addresses = Buffer.from(data.subarray(isV4 ? 26 : 22, transport + 4)).toString('hex');
  const headers = protocol === 17 ? 8 : (data[transport + 12]! >> 4) * 4;
  const total = isV4 ? view.getUint16(16) + 14 : view.getUint16(18) + 54;
  const isSyn = protocol === 6 && (data[transport + 13]! & 2) !== 0;
  return {
    flow: addresses,
    sequence: protocol === 6 ? view.getUint32(transport + 4) : 0,
    isSyn,
    captured: Math.max(0, Math.min(data.length, total) - transport - headers),
    total: total - transport - headers,
    isUdp: protocol === 17,
    headers: transport + headers,
  };
}

/** The messages all of whose bytes are still in packets that nothing was done to. */
function survivors(name: string, after: readonly Packet[]): Line[] {
  const { packets, decoded } = originalOf(name);
  const initial = new Map<string, number>();
  const flowOfFrame = new Map<number, string>();
  packets.forEach((packet, i) => {
    const span = spanOf(packet);
    if (span === null) return;
    flowOfFrame.set(i + 1, span.flow);
    if (span.isSyn) initial.set(span.flow, span.sequence + 1);
  });
  const bytes = new Map<string, Set<number>>();
  // What was cut off one copy of a segment is given up at once: a later copy does not bring it back.
  const spoiled = new Map<string, Set<number>>();
  const datagrams = new Set<Uint8Array>();
  for (const packet of after) {
    const span = spanOf(packet);
    if (span === null || packet.flipped === true) continue;
    if (span.isUdp) {
      if (packet.data.length === packet.original) datagrams.add(packet.data);
      continue;
    }
    let set = bytes.get(span.flow);
    if (set === undefined) bytes.set(span.flow, (set = new Set()));
    const from = (span.sequence - (initial.get(span.flow) ?? 0)) | 0;
    let gone = spoiled.get(span.flow);
    if (gone === undefined) spoiled.set(span.flow, (gone = new Set()));
    for (let i = 0; i < span.captured; i++) if (!gone.has(from + i)) set.add(from + i);
    for (let i = span.captured; i < span.total; i++) if (!set.has(from + i)) gone.add(from + i);
  }
  return messagesOf(decoded).filter((line) => {
    const frame = line['frame'] as number;
    if (line['carrier'] === 'udp') return datagrams.has(packets[frame - 1]!.data);
    const set = bytes.get(flowOfFrame.get(frame)!);
    const { offset, length } = line['record'] as { offset: number; length: number };
    for (let i = 0; i < length; i++) if (set?.has(offset + i) !== true) return false;
    return true;
  });
}

/** How many of the messages in `wanted` are not among those found, with multiplicity. */
function missing(wanted: readonly Line[], found: readonly Line[]): string[] {
  const left = new Map<string, number>();
  for (const line of found) left.set(keyOf(line), (left.get(keyOf(line)) ?? 0) + 1);
  return wanted.map(keyOf).filter((key) => {
    const n = left.get(key) ?? 0;
    left.set(key, n - 1);
    return n <= 0;
  });
}

type Act =
  | { readonly what: 'drop' | 'repeat'; readonly at: number }
  | { readonly what: 'move'; readonly at: number; readonly by: number }
  | { readonly what: 'cut'; readonly at: number; readonly keep: number }
  | { readonly what: 'flip'; readonly at: number; readonly byte: number; readonly bit: number };

const near = (a: Packet, b: Packet) => Math.abs(a.seconds - b.seconds + (a.nanoseconds - b.nanoseconds) / 1e9) < 0.1;

/** @param inPayload flips hit only what is behind the TCP or UDP header */
function apply(packets: readonly Packet[], acts: readonly Act[], inPayload: boolean): Packet[] {
  const out = packets.slice();
  for (const act of acts) {
    if (out.length === 0) break;
    const at = act.at % out.length;
    const packet = out[at]!;
    switch (act.what) {
      case 'drop':
        out.splice(at, 1);
        break;
      case 'repeat':
        out.splice(at, 0, packet);
        break;
      case 'move':
        // As captures reorder: a few packets of about the same time.
        if (at + act.by < out.length && near(packet, out[at + act.by]!)) {
          out.splice(at, 1);
          out.splice(at + act.by, 0, packet);
        }
        break;
      case 'cut':
        out[at] = { ...packet, data: packet.data.slice(0, Math.max(1, act.keep % packet.data.length)) };
        break;
      case 'flip': {
        const headers = spanOf(packet)?.headers ?? 0;
        const from = inPayload ? headers : 0;
        if (from >= packet.data.length) break;
        const data = packet.data.slice();
        data[from + (act.byte % (data.length - from))]! ^= 1 << act.bit;
        out[at] = { ...packet, data, flipped: true };
      }
    }
  }
  return out;
}

const at = fc.nat(100_000);
const act: fc.Arbitrary<Act> = fc.oneof(
  fc.record({ what: fc.constantFrom('drop' as const, 'repeat' as const), at }),
  fc.record({ what: fc.constant('move' as const), at, by: fc.integer({ min: 1, max: 3 }) }),
  fc.record({ what: fc.constant('cut' as const), at, keep: fc.nat(2000) }),
);
const flip: fc.Arbitrary<Act> = fc.record({
  what: fc.constant('flip' as const),
  at,
  byte: fc.nat(3000),
  bit: fc.nat(7),
});

const RUNS = LONG ? 100 : 4;
if (LONG) jest.setTimeout(600_000);

describe('damaged captures', () => {
  test('a SYN that was captured behind its answer and the first data begins no other connection', () => {
    const { packets } = originalOf('tcp-short-writes');
    const after = apply(packets, [{ what: 'move', at: 2, by: 3 }], true);
    const decoded = decode(write(after), [fixtureKeys('tcp-short-writes')]);
    expect(missing(survivors('tcp-short-writes', after), messagesOf(decoded))).toEqual([]);
  });

  test.each(fixtureNames)('%s with packets lost, repeated, reordered and cut: all that survived is found', (name) => {
    const { packets } = originalOf(name);
    fc.assert(
      fc.property(fc.array(act, { minLength: 1, maxLength: 12 }), (acts) => {
        const after = apply(packets, acts, true);
        const decoded = decode(write(after), [fixtureKeys(name)]);
        expect(missing(survivors(name, after), messagesOf(decoded))).toEqual([]);
      }),
      { numRuns: RUNS },
    );
  });

  test.each(fixtureNames)('%s with bits flipped in what TCP and UDP carry: all other messages are found', (name) => {
    const { packets } = originalOf(name);
    fc.assert(
      fc.property(fc.array(flip, { minLength: 1, maxLength: 6 }), (acts) => {
        const after = apply(packets, acts, true);
        const decoded = decode(write(after), [fixtureKeys(name)]);
        expect(missing(survivors(name, after), messagesOf(decoded))).toEqual([]);
      }),
      { numRuns: RUNS },
    );
  });

  test.each(fixtureNames)('%s with bits flipped in headers: most is found', (name) => {
    const { packets } = originalOf(name);
    fc.assert(
      fc.property(fc.array(fc.oneof(flip, act), { minLength: 1, maxLength: 6 }), (acts) => {
        const after = apply(packets, acts, false);
        const decoded = decode(write(after), [fixtureKeys(name)]);
        // A header that lies about its sequence number or flags can take neighbours with it.
        const lost = missing(survivors(name, after), messagesOf(decoded));
        expect(lost.length).toBeLessThanOrEqual(8 * acts.length);
      }),
      { numRuns: RUNS },
    );
  });

  test.each(fixtureNames)('%s with bytes of the file changed, inserted and removed: no crash, no hang', (name) => {
    const { file } = originalOf(name);
    // Behind the file header: nobody knows a link type that is gone.
    const edit = fc.record({
      at: fc.integer({ min: 24, max: file.length }),
      remove: fc.nat(50),
      insert: fc.uint8Array({ maxLength: 50 }),
    });
    fc.assert(
      fc.property(fc.array(edit, { minLength: 1, maxLength: 10 }), (edits) => {
        let hurt: Uint8Array = file;
        for (const { at, remove, insert } of edits) {
          hurt = new Uint8Array(Buffer.concat([hurt.subarray(0, at), insert, hurt.subarray(at + remove)]));
        }
        try {
          const { summary } = decode(hurt, [fixtureKeys(name)]);
          const total = originalOf(name).decoded.summary;
          // Ten places of damage leave most of a file of many packets readable.
          const before = (total['messages'] as Line)['data'] as number;
          const after = (summary['messages'] as Line)['data'] as number;
          expect(after).toBeGreaterThanOrEqual(before - 12 * edits.length);
        } catch (error) {
          if (!isWirestreamError(error)) throw error;
        }
      }),
      { numRuns: RUNS },
    );
  });

  test('a message that is there twice is told, with keys and without', () => {
    const { packets } = originalOf('udp-handshake-ping');
    const data = packets.findIndex((packet) => packet.data[42] === 4 && packet.data.length > 100);
    const twice = [...packets.slice(0, data + 3), packets[data]!, ...packets.slice(data + 3)];
    const [known, unknown] = [[fixtureKeys('udp-handshake-ping')], []].map((keys) => decode(write(twice), keys));
    expect(known!.summary).toMatchObject({ duplicates: 1, replays: 1 });
    expect(unknown!.summary).toMatchObject({ duplicates: 1, replays: 0 });
    expect(originalOf('udp-handshake-ping').decoded.summary).toMatchObject({ duplicates: 0 });
  });
});
