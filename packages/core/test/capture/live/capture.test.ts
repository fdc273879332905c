import net from 'node:net';
import { afterEach, describe, expect, test } from '@jest/globals';
import { Captures } from '../../../src/capture/live/captures.js';
import { CaptureWriter, type CaptureContents } from '../../../src/capture/capturewriter.js';
import type { TapOptions } from '../../../src/capture/live/encoder.js';
import { LiveCapture } from '../../../src/capture/live/livecapture.js';
import { ByteRing } from '../../../src/capture/live/ring.js';
import { formatKey } from '../../../src/config/key.js';
import { portableCrypto } from '../../../src/noise/portable.js';
import type { RootlessTunnel } from '../../../src/portable/rootless/tunnel.js';
import { Slab } from '../../../src/slab/slab.js';
import { writeHeader } from '../../../src/stream/header.js';
import { closeAll, ends } from '../../portable/rootless/ends.js';
import { ipv4Packet } from '../../support/pair.js';
import { readAll, type Reading } from '../collect.js';
import { decode, identityOf, messagesOf } from '../decode.js';

afterEach(closeAll);

const ALL: TapOptions = { messages: true, inner: true, keys: false, snapLength: 100_000 };
const EVERYTHING: CaptureContents = { outer: true, inner: true, records: true };
const SECRETS = [1, 2].map((n) => new Uint8Array(32).fill(n));
const PUBLIC = SECRETS.map((key) => portableCrypto.publicKey(key));

/** A capture that runs. */
class Running {
  readonly #parts: Uint8Array[] = [];
  readonly writer: CaptureWriter;
  readonly live: LiveCapture;
  readonly #feed;

  constructor(
    tunnel: Pick<RootlessTunnel, 'capture'>,
    options: Partial<TapOptions> = {},
    { limit = Infinity, snapLength = 0 } = {},
  ) {
    const about = { contents: EVERYTHING, application: 'test', source: 'test', snapLength };
    this.writer = new CaptureWriter((bytes) => this.#parts.push(bytes), about);
    this.writer.begin();
    this.live = new LiveCapture(this.writer, limit);
    this.#feed = tunnel.capture({ ...ALL, ...options }, () => this.#take());
  }

  async stop(): Promise<Uint8Array> {
    await this.#feed.stop();
    this.#take();
    this.live.finish();
    return new Uint8Array(Buffer.concat(this.#parts));
  }

  #take(): void {
    for (let bytes = this.#feed.take(1000); bytes !== null; bytes = this.#feed.take(1000)) this.live.push(bytes);
  }
}

const on = (reading: Reading, id: number) => reading.packets.filter(({ interfaceId }) => interfaceId === id);
const hexOf = (reading: Reading, id: number) => on(reading, id).map(({ data }) => Buffer.from(data).toString('hex'));
const commentsOf = (reading: Reading) => reading.packets.map(({ comment }) => comment ?? '').join('\n');

describe.each(['tcp', 'udp'] as const)('a capture of a running tunnel over %s', (transport) => {
  test('has every message and every packet, the same at both ends, and opens itself with the keys that it was asked for', async () => {
    const [a, b] = await ends(transport);
    const [atA, atB] = [new Running(a, { keys: true }), new Running(b, { keys: true })];
    for (let i = 0; i < 5; i++) await a.ping('10.0.0.2', { size: 56 + 300 * i });
    const [fileA, fileB] = [await atA.stop(), await atB.stop()];
    expect([atA.live.lost, atB.live.lost]).toEqual([0, 0]);

    const [one, two] = [decode(fileA), decode(fileB)];
    expect(one.summary).toMatchObject({ handshakesCompleted: 1, undecrypted: 0, errors: 0 });
    expect(one.summary['messages']).toMatchObject({ response: 1 });
    // Messages of the two directions may cross on their way.
    const byDirection = (decoded: typeof one) =>
      messagesOf(decoded)
        .map((line) => `${line['from']} ${identityOf(line)}`)
        .sort();
    expect(byDirection(one)).toEqual(byDirection(two));
    expect(messagesOf(one).every(({ carrier }) => carrier === 'udp')).toBe(true);
    const handshake = one.lines.find(({ type }) => type === 'handshake')!;
    expect(handshake).toMatchObject({ verified: true, initiator: { publicKey: formatKey(PUBLIC[0]!) } });

    // The packets inside are those that went in and came out: five requests and five answers.
    const [readA, readB] = [readAll(fileA), readAll(fileB)];
    expect(hexOf(readA, 1)).toHaveLength(10);
    expect(hexOf(readA, 1)).toEqual(hexOf(readB, 1));
    // What the two say to each other is no packet.
    const decrypted = messagesOf(one).filter(({ inner }) => inner !== undefined && inner.version !== 0);
    expect(decrypted.map(({ inner }) => inner.length)).toEqual(on(readA, 1).map(({ data }) => data.length));

    // Both say the same of addresses, and the records are the messages with 8 bytes in front.
    const ports = [a, b].map(({ driver }) => driver.device.listenPort);
    if (transport === 'udp') expect(messagesOf(one)[0]).toMatchObject({ from: `127.0.0.1:${ports[0]}` });
    expect(messagesOf(one)[0]!['from']).toBe(messagesOf(two)[0]!['from']);
    expect(messagesOf(one)[0]!['to']).toBe(`127.0.0.1:${ports[1]}`);
    const records = on(readA, 2).map(({ data }) => Buffer.from(data.subarray(8)).toString('hex'));
    const messages = on(readA, 0).map(({ data }) => Buffer.from(data.subarray(28)).toString('hex'));
    expect(records).toEqual(transport === 'tcp' ? messages : []);
    if (transport === 'udp') return;
    expect(commentsOf(readA)).toContain('carrier change: messages to peer');
    expect(commentsOf(readB)).toContain(`promotion: TCP connection 1 is peer ${formatKey(PUBLIC[0]!)} now`);
  });

  test('holds no secret unless it was asked for', async () => {
    const [a, b] = await ends(transport);
    const captures = [a, b].map((tunnel) => new Running(tunnel));
    await a.ping('10.0.0.2');
    for (const capture of captures) {
      const file = Buffer.from(await capture.stop());
      const { secrets, packets } = readAll(file);
      expect(packets.length).toBeGreaterThan(4);
      expect(secrets).toEqual([]);
      for (const key of SECRETS) {
        expect(file.includes(Buffer.from(key))).toBe(false);
        expect(file.includes(formatKey(key))).toBe(false);
      }
      expect(file.includes('PRIVATE')).toBe(false);
    }
  });

  test('can be of one peer only', async () => {
    const [a, b] = await ends(transport);
    const all = new Running(b);
    const mine = new Running(b, { peer: PUBLIC[0]! });
    const others = new Running(b, { peer: PUBLIC[1]! });
    await a.ping('10.0.0.2');
    const [whole, same, none] = [await all.stop(), await mine.stop(), await others.stop()].map((file) => readAll(file));
    const shape = (reading: Reading) => reading.packets.map(({ interfaceId, data }) => `${interfaceId} ${data.length}`);
    expect(shape(whole!).length).toBeGreaterThan(4);
    expect(shape(same!)).toEqual(shape(whole!));
    expect(shape(none!)).toEqual([]);
  });

  test('ends after so many packets, of so many bytes', async () => {
    const [a] = await ends(transport);
    const capture = new Running(a, { snapLength: 80 }, { limit: 5, snapLength: 80 });
    await a.ping('10.0.0.2', { size: 500 });
    const { packets, interfaces } = readAll(await capture.stop());
    expect(packets).toHaveLength(5);
    expect(interfaces.map(({ name, snapLength }) => [name, snapLength])).toEqual([
      ['outer', 80],
      ['inner', 80],
      ['records', 80],
    ]);
    expect(Math.max(...packets.map(({ data }) => data.length))).toBe(80);
    expect(Math.max(...packets.map(({ originalLength }) => originalLength))).toBeGreaterThan(500);
  });
});

describe('what a tunnel decides', () => {
  test('is said with the packet that it is about', async () => {
    const [a, b] = await ends('tcp');
    const capture = new Running(b);
    await a.ping('10.0.0.2');
    // Like an initiation, and none.
    const record = new Uint8Array(156);
    writeHeader(record, 0, 148);
    record[8] = 1;
    const stranger = net.connect(b.driver.device.listenPort, '127.0.0.1');
    stranger.end(record);
    const isDropped = () => (b.snapshot().drops['bad-mac1'] ?? 0) > 0;
    while (!isDropped()) await new Promise((resolve) => setTimeout(resolve, 5));
    const packet = Slab.plain(4096);
    packet.bytes.set(ipv4Packet(2, 99, 60));
    b.run(() => b.send(packet, 0, 60));
    const reading = readAll(await capture.stop());
    const forged = on(reading, 0).find(({ comment }) => comment?.includes('bad-mac1') === true)!;
    expect(Buffer.from(forged.data.subarray(28)).toString('hex')).toBe(Buffer.from(record.subarray(8)).toString('hex'));
    expect(forged.comment!.split('\n')).toContain('dropped: bad-mac1');
    const lost = on(reading, 1).filter(({ comment }) => comment?.includes('dropped: no-peer-for-destination') === true);
    expect(lost).toHaveLength(1);
  });

  test('bytes that belong to no record are told of, and the guesses between them are no messages', async () => {
    const [a, b] = await ends('tcp');
    await a.ping('10.0.0.2');
    const capture = new Running(b);
    // Into the stream of the peer's own connection, between two records.
    const garbage = new Uint8Array(100).fill(0x77);
    writeHeader(garbage, 20, 40);
    garbage[28] = 4;
    const { device } = b.driver;
    const [connection] = [...device.peers.values()][0]!.links.all;
    b.run((now) => {
      const input = Slab.plain(70_000);
      const at = connection!.reader.restore(input.bytes, 0);
      input.bytes.set(garbage, at);
      device.readable(now, connection!, input, 0, at + garbage.length);
    });
    await a.ping('10.0.0.2');
    const reading = readAll(await capture.stop());
    expect(commentsOf(reading)).toMatch(/resync: [0-9]+ B passed over on TCP connection 1/);
    // A request and its answer, and whatever keepalive there was: nothing of 40 bytes that did not authenticate.
    expect(on(reading, 0).some(({ comment }) => comment?.includes('dropped') === true)).toBe(false);
  });
});

/** Reads a ring into a capture, now and then. */
class Slow {
  readonly memory: ArrayBuffer;
  readonly live: LiveCapture;
  readonly #parts: Uint8Array[] = [];
  readonly #ring: ByteRing;

  constructor(room: number) {
    this.memory = new ArrayBuffer(ByteRing.memoryFor(room));
    this.#ring = new ByteRing(this.memory);
    const about = { contents: EVERYTHING, application: 'test', source: 'test', snapLength: 0 };
    const writer = new CaptureWriter((bytes) => this.#parts.push(bytes), about);
    writer.begin();
    this.live = new LiveCapture(writer);
  }

  look(): void {
    for (let bytes = this.#ring.take(777); bytes !== null; bytes = this.#ring.take(777)) this.live.push(bytes);
  }

  reading(): Reading {
    this.look();
    this.live.finish();
    return readAll(new Uint8Array(Buffer.concat(this.#parts)));
  }
}

describe('a reader that is too slow', () => {
  test('loses what does not fit, counted, and neither the tunnel nor another reader notices', async () => {
    const [a] = await ends('tcp');
    const captures = new Captures(a.driver.device);
    const around = { wallOffset: 0, listenPort: () => 0, localOf: () => null };
    const [slow, fast] = [new Slow(4096), new Slow(1 << 20)];
    captures.start(0, 1, slow.memory, ALL, around, () => undefined);
    captures.start(0, 2, fast.memory, ALL, around, () => undefined);
    for (let i = 0; i < 20; i++) {
      await a.ping('10.0.0.2', { size: 500 });
      captures.publish(0, 0);
      if (i % 8 === 7) slow.look();
    }
    captures.stop(1);
    captures.stop(2);
    expect(a.driver.device.tap).toBeNull();
    const [some, all] = [slow.reading(), fast.reading()];
    expect(fast.live.lost).toBe(0);
    // Requests and answers, each as a packet, a message and a record; and the handshake.
    expect(all.packets.length).toBeGreaterThanOrEqual(20 * 2 * 3 + 4);
    expect(slow.live.lost).toBeGreaterThan(20);
    expect(some.packets.length).toBeGreaterThan(5);
    expect(commentsOf(some)).toMatch(/[0-9]+ events missing here/);
    const known = new Set(all.packets.map(({ data }) => Buffer.from(data).toString('hex')));
    expect(some.packets.filter(({ data }) => !known.has(Buffer.from(data).toString('hex')))).toEqual([]);
  });
});
