import fc from 'fast-check';
import { Captures } from '@wirestream/core/capture/live/captures';
import { CaptureReader } from '@wirestream/core/capture/capturefile';
import { CaptureWriter, Interface } from '@wirestream/core/capture/capturewriter';
import { LiveCapture } from '@wirestream/core/capture/live/livecapture';
import { ByteRing } from '@wirestream/core/capture/live/ring';
import { nativeCrypto } from '@wirestream/core/noise/native';
import { chunkLengths, chunks, concat, noise } from '../arbitraries/bytes.js';
import { kernelRecords } from '../kernelreader.js';
import { circumstances } from '../replay/circumstances.js';
import { type RecordedConnection, type RecordedEvent, type Recording, type Role } from '../replay/recording.js';
import { EPOCH, Stage, type StageOptions } from '../replay/stage.js';
import { hex, must, mustEqual, target, type Target } from '../target.js';
import { decodeAll } from './capture.js';

/** Damage to one data message of the other end's, which one and where in it as fractions of a thousand. */
interface Harm {
  readonly record: number;
  readonly at: number;
  readonly how: 'flip' | 'delete' | 'insert';
  readonly length: number;
}

interface Input {
  readonly recording: number;
  readonly role: Role;
  readonly lengths: number[];
  readonly harms: Harm[];
  /** whether damage may hit anything, or only data that decides nothing: on a connection that is known to be the peer's, under keys that are confirmed */
  readonly anywhere: boolean;
  /** whether the device's own capture runs */
  readonly capture: boolean;
}

/** A whole record of the other end's: in which event it begins, and where in the event. */
interface Place {
  readonly connection: RecordedConnection;
  readonly event: number;
  readonly offset: number;
  readonly length: number;
  /** of the message in it */
  readonly type: number;
  readonly isData: boolean;
  /** the connection carried data before */
  readonly isLater: boolean;
  /** ms, when it came */
  readonly at: number;
}

/** Messages longer than keepalives have packets in them. */
const KEEPALIVE = 32;
/** Events of a recording that are played, and pieces that its bytes come in, at most. */
const EVENTS_MAX = 500;
const PIECES_MAX = 1500;

/**
 * The kernel's recordings played to the engine in other pieces and with damage. What is not damaged has to have the same effect as in the recording as it is:
 * the tests in test/replay hold that against what the kernel concluded.
 * @param read gives the recordings, when they are first needed
 */
export function replayTarget(read: () => readonly Recording[]): Target {
  let all: readonly Recording[] | null = null;
  const baselines = new Map<string, Conclusions>();
  return target<Input>({
    name: 'replay-engine',
    says: 'the kernel’s recordings, in whatever pieces, lead the engine to the same; damage costs the messages that it hits and nothing else',
    runs: 30,
    arbitrary: fc.record({
      recording: fc.nat({ max: 999 }),
      role: fc.constantFrom<Role>('A', 'B'),
      lengths: chunkLengths,
      harms: fc.array(
        fc.record({
          record: fc.nat({ max: 999 }),
          at: fc.nat({ max: 999 }),
          how: fc.constantFrom('flip' as const, 'delete' as const, 'insert' as const),
          length: fc.integer({ min: 1, max: 60 }),
        }),
        { maxLength: 4 },
      ),
      anywhere: fc.boolean(),
      capture: fc.boolean(),
    }),
    check({ recording, role, lengths, harms, anywhere, capture }) {
      all ??= read().map((one) => ({ ...one, events: one.events.slice(0, EVENTS_MAX) }));
      const original = all[recording % all.length]!;
      const options = circumstances(original, role);
      const key = `${original.name} ${role}`;
      let expected = baselines.get(key);
      if (expected === undefined)
        baselines.set(key, (expected = conclusions(play(original, role, options, false).stage)));
      const { decidedAt, ownedFrom } = expected;
      const places = recordsOf(original, role).filter(
        ({ connection, isData, isLater, at }) =>
          anywhere || (isData && isLater && at > (ownedFrom.get(connection.id) ?? Infinity) && !decidedAt.has(at)),
      );
      const harmed = harm(original, role, lengths, places.length === 0 ? [] : harms, places);
      const { stage, captured } = play(harmed.recording, role, options, capture);
      const got = conclusions(stage);
      if (harmed.touched.length === 0) {
        mustEqual(got.leadsTo, expected.leadsTo, `${key}: what it leads to`);
      } else {
        const missing = without(expected.leadsTo.delivered, got.leadsTo.delivered);
        mustEqual(
          without(got.leadsTo.delivered, expected.leadsTo.delivered),
          [],
          `${key}: packets that were never sent`,
        );
        if (!anywhere) {
          must(
            missing.length <= harmed.touched.length,
            () => `${key}: ${missing.length} packets are lost of ${harmed.touched.length} damaged messages`,
          );
          mustEqual(got.leadsTo.handshakes, expected.leadsTo.handshakes, `${key}: handshakes`);
        }
      }
      if (captured !== null) checkCapture(captured, stage);
    },
  });
}

interface Conclusions {
  readonly leadsTo: {
    readonly handshakes: string[];
    readonly promoted: number[];
    readonly rxBytes: number;
    readonly delivered: string[];
  };
  /** since when a connection is known to be the peer's, ms by connection */
  readonly ownedFrom: ReadonlyMap<number, number>;
  /** ms, when a message decided something: whose a connection is, or that the other end has the new keys */
  readonly decidedAt: ReadonlySet<number>;
}

function conclusions(stage: Stage): Conclusions {
  const [handshakes, promoted] = [stage.of('handshake'), stage.of('promoted')];
  const owned = [...stage.of('connected'), ...promoted];
  return {
    leadsTo: {
      handshakes: handshakes.map(({ as, local, remote }) => `${as} ${local} ${remote}`),
      promoted: promoted.map(({ connection }) => connection!.id),
      rxBytes: stage.peer.rxBytes,
      delivered: stage.delivered.map(hex),
    },
    ownedFrom: new Map(owned.map(({ connection, at }) => [connection!.id, at])),
    decidedAt: new Set([...handshakes, ...promoted].map(({ at }) => at)),
  };
}

/** What is in `list` and not in `other`, as often as it is. */
function without(list: readonly string[], other: readonly string[]): string[] {
  const left = new Map<string, number>();
  for (const one of other) left.set(one, (left.get(one) ?? 0) + 1);
  return list.filter((one) => {
    const count = left.get(one) ?? 0;
    left.set(one, count - 1);
    return count <= 0;
  });
}

const places = new WeakMap<Recording, Partial<Record<Role, Place[]>>>();

/** All records that were sent to one end. */
function recordsOf(recording: Recording, role: Role): Place[] {
  const known = places.get(recording) ?? {};
  places.set(recording, known);
  return (known[role] ??= findRecords(recording, role));
}

function findRecords({ events, connections }: Recording, role: Role): Place[] {
  const out: Place[] = [];
  for (const connection of connections) {
    const mine = events.flatMap((event, i) =>
      event.what === 'data' && event.connection === connection && comesTo(event, role) ? [{ i, event }] : [],
    );
    const stream = concat(mine.map(({ event }) => event.bytes));
    let isLater = false;
    for (const { at, length } of kernelRecords(stream)) {
      let offset = at;
      const holder = mine.find(({ event }) => {
        if (offset < event.bytes.length) return true;
        offset -= event.bytes.length;
        return false;
      })!;
      const header = stream[at + 5] === 1 ? 12 : 8;
      const type = stream[at + header]!;
      const isData = type === 4 && length - header > KEEPALIVE;
      out.push({ connection, event: holder.i, offset, length, type, isData, isLater, at: holder.event.at });
      isLater ||= isData;
    }
  }
  return out;
}

function comesTo(event: RecordedEvent & { what: 'data' }, role: Role): boolean {
  return event.from !== role && (event.from !== 'stranger' || role === 'B');
}

/** The recording in other pieces, with damage. */
function harm(
  recording: Recording,
  role: Role,
  lengths: readonly number[],
  harms: readonly Harm[],
  all: readonly Place[],
): { recording: Recording; touched: Place[] } {
  const changes = new Map<number, { at: number; how: Harm['how']; length: number }[]>();
  const touched = new Set<Place>();
  for (const { record, at, how, length } of harms) {
    const place = all[Math.floor((record / 1000) * all.length)]!;
    // Only what of the record is in the same event.
    const event = recording.events[place.event]! as RecordedEvent & { what: 'data' };
    const room = Math.min(place.length, event.bytes.length - place.offset);
    const within = Math.floor((at / 1000) * room);
    if (touched.has(place)) continue;
    touched.add(place);
    const list = changes.get(place.event) ?? [];
    changes.set(place.event, list);
    list.push({ at: place.offset + within, how, length: how === 'delete' ? Math.min(length, room - within) : length });
  }
  const total = recording.events.reduce((sum, event) => sum + (event.what === 'data' ? event.bytes.length : 0), 0);
  const pieces = lengths.map((length) => Math.max(length, Math.ceil(total / PIECES_MAX)));
  const events = recording.events.flatMap((event, i): RecordedEvent[] => {
    if (event.what !== 'data' || !comesTo(event, role)) return [event];
    const bytes = change(event.bytes, changes.get(i) ?? []);
    return [...chunks(bytes, pieces)].map((piece) => ({ ...event, bytes: piece }));
  });
  return { recording: { ...recording, events }, touched: [...touched] };
}

function change(bytes: Uint8Array, changes: readonly { at: number; how: Harm['how']; length: number }[]): Uint8Array {
  const parts: Uint8Array[] = [];
  let from = 0;
  for (const { at, how, length } of [...changes].sort((a, b) => a.at - b.at)) {
    if (at < from) continue;
    parts.push(bytes.subarray(from, at));
    if (how === 'flip') parts.push(Uint8Array.of(bytes[at]! ^ 0x41));
    if (how === 'insert') parts.push(noise(length, at));
    from = how === 'flip' ? at + 1 : how === 'delete' ? at + length : at;
  }
  return concat([...parts, bytes.subarray(from)]);
}

const RING = 1 << 22;

/** @returns the stage at the end, and the capture file that the device made of itself */
function play(
  recording: Recording,
  role: Role,
  options: Omit<StageOptions, 'crypto'>,
  withCapture: boolean,
): { stage: Stage; captured: Uint8Array | null } {
  if (!withCapture)
    return { stage: new Stage(recording, role, { crypto: nativeCrypto, ...options }).run(), captured: null };
  const parts: Uint8Array[] = [];
  const contents = { outer: true, inner: true, records: true };
  const writer = new CaptureWriter((part) => void parts.push(part.slice()), {
    contents,
    application: 'fuzz',
    source: recording.name,
    snapLength: 0,
  });
  writer.begin();
  const live = new LiveCapture(writer);
  const memory = new ArrayBuffer(ByteRing.memoryFor(RING));
  const ring = new ByteRing(memory);
  const offset = recording.startedAt - EPOCH;
  let captures: Captures | null = null;
  const drain = () => {
    for (let part = ring.take(5000); part !== null; part = ring.take(5000)) live.push(part);
  };
  const stage = new Stage(recording, role, {
    crypto: nativeCrypto,
    ...options,
    onTurn: (device, now) => {
      if (captures === null) {
        captures = new Captures(device);
        const tap = { messages: true, inner: true, keys: true, snapLength: 100_000 };
        const around = { wallOffset: offset, listenPort: () => device.listenPort, localOf: () => null };
        captures.start(now, 1, memory, tap, around, () => undefined);
      }
      captures.publish(now, now + offset);
      drain();
    },
  }).run();
  (captures as Captures | null)?.stop(1);
  drain();
  live.finish();
  mustEqual(live.lost, 0, 'events lost');
  return { stage, captured: concat(parts) };
}

/** What the device captured of itself shows every packet that it delivered, and can be decoded. */
function checkCapture(file: Uint8Array, stage: Stage): void {
  const inbound: string[] = [];
  const own = stage.delivered.map(hex);
  const reader = new CaptureReader({
    packet: ({ data, interfaceId }) => {
      if (interfaceId === Interface.inner) inbound.push(hex(data));
    },
  });
  reader.push(file);
  reader.end();
  mustEqual(without(own, inbound), [], 'delivered packets that the capture does not have');
  decodeAll(file, [1 << 20], []);
}
