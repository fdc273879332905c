import { describe, expect, test } from '@jest/globals';
import { parseIp } from '../../src/address/ip.js';
import { PcapWriter } from '../../src/capture/pcapwriter.js';
import { PcapngWriter } from '../../src/capture/pcapngwriter.js';
import { KeyRing } from '../../src/capture/keyring.js';
import { UdpWriter, InnerWriter } from '../../src/capture/rewrite.js';
import { nativeCrypto } from '../../src/noise/native.js';
import { readAll } from './collect.js';
import {
  decode,
  fixtureFile,
  fixtureKeys,
  fixtureNames,
  identityOf,
  messagesOf,
  packetsOf,
  type Decoded,
} from './decode.js';
import { ACK, ENDS, FIN, SYN, WRAP, be16, concat, ip, noise, reversed, tcp, udp, type Ends } from './frames.js';
import { Tunnel, asRecord } from './tunnel.js';

interface Timed {
  readonly seconds: number;
  readonly nanoseconds: number;
  readonly data: Uint8Array;
}

function pcap(packets: readonly Timed[], linkType: number): Uint8Array {
  const writer = new PcapWriter({ linkType, nanoseconds: true });
  return concat(writer.header(), ...packets.map((p) => writer.packet(p.seconds, p.nanoseconds, p.data)));
}

/** Raw IP packets, a millisecond apart. */
function capture(...packets: Uint8Array[]): Uint8Array {
  return pcap(
    packets.map((data, i) => ({ seconds: 1_700_000_000, nanoseconds: i * 1_000_000, data })),
    101,
  );
}

const A = ENDS;
const B = reversed(ENDS);
const PING = concat(
  Uint8Array.of(0x45, 0, 0, 28, 0, 0, 0, 0, 64, 1, 0, 0),
  parseIp('10.0.0.1')!,
  parseIp('10.0.0.2')!,
  Uint8Array.of(8, 0, 0, 0, 0, 7, 0, 9),
);

/** A TCP conversation, made of the bytes that each side sends in turn. */
function conversation(turns: readonly (readonly ['a' | 'b', Uint8Array])[], withSyn = true): Uint8Array[] {
  const at = { a: 1001, b: 5001 };
  const out: Uint8Array[] = [];
  if (withSyn) {
    out.push(tcp(A, { sequence: 1000, flags: SYN }));
    out.push(tcp(B, { sequence: 5000, acknowledgement: 1001, flags: SYN | ACK }));
  }
  for (const [from, payload] of turns) {
    const to = from === 'a' ? 'b' : 'a';
    out.push(tcp(from === 'a' ? A : B, { sequence: at[from], acknowledgement: at[to], payload }));
    at[from] += payload.length;
  }
  out.push(tcp(A, { sequence: at.a, acknowledgement: at.b, flags: FIN | ACK }));
  out.push(tcp(B, { sequence: at.b, acknowledgement: at.a + 1, flags: FIN | ACK }));
  return out;
}

function plainSummary(decoded: Decoded): Record<string, unknown> {
  const { packets: _packets, seconds: _seconds, ...rest } = decoded.summary;
  return rest;
}

describe('the same capture in other clothes decodes to the same', () => {
  const names = ['tcp-both-dial-v4', 'tcp-handshake-ping-v6', 'tcp-short-writes-garbage', 'udp-cookie'];

  test.each(names.flatMap((name) => Object.keys(WRAP).map((link) => [name, link] as const)))(
    '%s as %s',
    (name, link) => {
      const file = fixtureFile(`${name}.pcap`);
      const { linkType, wrap } = WRAP[link]!;
      const packets = packetsOf(file).filter(({ data }) => data[12] !== 0x08 || data[13] !== 0x06);
      const ip = packets.map((p) => {
        const isV4 = p.data[12] === 8;
        const length = isV4 ? (p.data[16]! << 8) | p.data[17]! : 40 + ((p.data[18]! << 8) | p.data[19]!);
        return { ...p, data: wrap(p.data.slice(14, 14 + length)) };
      });
      const keys = [fixtureKeys(name)];
      expect(plainSummary(decode(pcap(ip, linkType), keys))).toEqual(plainSummary(decode(file, keys)));
    },
  );

  test.each(['tcp-fragments', 'udp-rekey'])('%s as pcapng with several interfaces, with the keys inside', (name) => {
    const file = fixtureFile(`${name}.pcap`);
    const keys = fixtureKeys(name);
    const ring = new KeyRing(nativeCrypto);
    ring.add(keys);
    const writer = new PcapngWriter(true);
    const parts = [
      writer.section(),
      writer.secrets(ring.toKeyLog()),
      writer.interface({ linkType: 1, name: 'a' }),
      writer.interface({ linkType: 113, name: 'b' }),
    ];
    packetsOf(file).forEach((p, i) => {
      const cooked = concat(new Uint8Array(14), p.data.slice(12));
      parts.push(writer.packet(i % 2, p.seconds, p.nanoseconds, i % 2 === 0 ? p.data : cooked));
    });
    const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
    let at = 0;
    for (const part of parts) {
      bytes.set(part, at);
      at += part.length;
    }
    const expected = decode(file, [keys]).summary;
    expect(decode(bytes).summary).toMatchObject({
      decrypted: expected['decrypted'],
      innerPackets: expected['innerPackets'],
      handshakesCompleted: expected['handshakesCompleted'],
      messages: expected['messages'],
    });
  });

  test.each(['udp-rekey', 'udp-handshake-ping'])('%s with every datagram in IP fragments', (name) => {
    const file = fixtureFile(`${name}.pcap`);
    const packets = packetsOf(file).flatMap((p, n) => {
      if (p.data[12] !== 8 || p.data[13] !== 0) return [p];
      const length = (p.data[16]! << 8) | p.data[17]!;
      const payload = p.data.slice(34, 14 + length);
      const fragments = [];
      for (let at = 0; at < payload.length; at += 48) {
        const header = p.data.slice(0, 34);
        const piece = payload.slice(at, at + 48);
        header.set(be16(20 + piece.length), 16);
        header.set(be16(n), 18);
        header.set(be16((at >> 3) | (at + 48 < payload.length ? 0x2000 : 0)), 20);
        fragments.push({ ...p, data: concat(header, piece) });
      }
      return n % 2 === 0 ? fragments : fragments.reverse();
    });
    const keys = [fixtureKeys(name)];
    expect(plainSummary(decode(pcap(packets, 1), keys))).toEqual(plainSummary(decode(file, keys)));
  });
});

describe('messages as the UDP packets that they would have been', () => {
  test.each(fixtureNames)('%s: the same messages, in the same order, with the same results', (name) => {
    const parts: Uint8Array[] = [];
    const keys = fixtureKeys(name);
    const writer = new UdpWriter((bytes) => parts.push(bytes), 'test', null);
    const direct = decode(fixtureFile(`${name}.pcap`), [keys], [writer]);
    const again = decode(Buffer.concat(parts), [keys]);
    const shape = (decoded: Decoded) =>
      messagesOf(decoded).map((line) => [identityOf(line), line['from'], line['to'], line['time'], line['inner']]);
    expect(shape(again)).toEqual(shape(direct));
    expect(writer.notWritten).toBe(0);
  });

  test('inner packets are written without their padding, replays with a comment', () => {
    const tunnel = new Tunnel();
    const session = tunnel.handshake();
    const data = session.data('a', PING);
    const file = capture(
      udp(A, session.initiation),
      udp(B, session.response),
      udp(A, data),
      udp(A, data),
      udp(A, session.data('a', noise(16).fill(0x10))),
    );
    for (const format of ['pcap', 'pcapng'] as const) {
      const parts: Uint8Array[] = [];
      const writer = new InnerWriter((bytes) => parts.push(bytes), format, 'test');
      decode(file, [tunnel.keys()], [writer]);
      const { packets, interfaces, damage } = readAll(concat(...parts));
      expect(damage).toEqual([]);
      expect(interfaces[0]!.linkType).toBe(101);
      expect(packets.map((p) => [p.nanoseconds, Buffer.from(p.data).toString('hex')])).toEqual(
        [2, 3].map((ms) => [ms * 1_000_000, Buffer.from(PING).toString('hex')]),
      );
      expect(packets[1]!.comment).toBe(format === 'pcap' ? undefined : 'replay of counter 0');
      expect(writer.notWritten).toBe(1);
    }
  });
});

describe('what becomes of messages', () => {
  const tunnel = new Tunnel(2, noise(32, 99));
  const session = tunnel.handshake();
  const keys = tunnel.keys();
  const statuses = (decoded: Decoded) =>
    messagesOf(decoded).map(({ status, wg }) => `${(wg as { type: number }).type} ${status}`);

  test('with all keys, each is verified or decrypted', () => {
    const file = capture(
      ...conversation([
        ['a', asRecord(session.initiation)],
        ['b', asRecord(session.response)],
        ['a', asRecord(session.data('a', PING, 0))],
        ['b', asRecord(session.data('b', new Uint8Array(0), 0))],
      ]),
    );
    const decoded = decode(file, [keys]);
    expect(statuses(decoded)).toEqual(['1 seen', '2 seen', '4 decrypted', '4 decrypted']);
    const [initiation, response, data, keepalive] = messagesOf(decoded);
    expect(initiation!['wg']).toMatchObject({ handshake_ok: true, mac1: 'verified', mac2: false, stream: 0 });
    expect(response!['wg']).toMatchObject({ handshake_ok: true, mac1: 'verified', response_to: 3, stream: 0 });
    expect(data!['inner']).toEqual({
      version: 4,
      length: 28,
      protocol: 'icmp',
      source: '10.0.0.1',
      destination: '10.0.0.2',
      info: 'echo request 7/9',
    });
    expect(keepalive!['wg']).toMatchObject({ keepalive: true, counter: 0 });
    expect(decoded.summary).toMatchObject({
      connections: 1,
      records: 4,
      messages: { initiation: 1, response: 1, cookie: 0, data: 2, keepalive: 1 },
      handshakesCompleted: 1,
      decrypted: 2,
      undecrypted: 0,
      innerPackets: 1,
      // with its padding to 16
      innerBytes: 32,
      errors: 0,
    });
    expect(decoded.lines.find(({ type }) => type === 'handshake')).toMatchObject({
      verified: true,
      rekey: false,
      roundTrip: 0.001,
      initiator: { name: 'A' },
      responder: { name: 'B' },
    });
    expect(decoded.lines.find(({ type }) => type === 'peers')).toMatchObject({
      handshakes: 1,
      sent: [
        { data: 1, decrypted: 1, missingCounters: 0 },
        { data: 1, keepalives: 1, decrypted: 1 },
      ],
    });
  });

  const statics = { ...keys, ephemerals: [], preshared: [] };
  const initiatorOnly = {
    ...keys,
    statics: [keys.statics[0]!, { publicKey: tunnel.b.publicKey }],
    ephemerals: keys.ephemerals.slice(0, 1),
  };
  const responderOnly = { ...keys, statics: [keys.statics[1]!], ephemerals: keys.ephemerals.slice(1) };

  test.each([
    ['nothing', [], { ok: undefined, verified: false, status: 'keys missing' }],
    ['static keys only', [statics], { ok: true, verified: false, status: 'keys missing' }],
    ["the initiator's keys", [initiatorOnly], { ok: true, verified: true, status: 'decrypted' }],
    ["the responder's keys", [responderOnly], { ok: true, verified: true, status: 'decrypted' }],
  ])('knowing %s', (_what, known, expected) => {
    const file = capture(udp(A, session.initiation), udp(B, session.response), udp(A, session.data('a', PING, 0)));
    const decoded = decode(file, known);
    expect(messagesOf(decoded)[0]!['wg']['handshake_ok']).toBe(expected.ok);
    expect(decoded.lines.find(({ type }) => type === 'handshake')!['verified']).toBe(expected.verified);
    expect(messagesOf(decoded)[2]!['status']).toBe(expected.status);
    expect(decoded.summary['handshakesCompleted']).toBe(1);
  });

  test('with the wrong preshared key the response fails, and the handshake is not completed', () => {
    const file = capture(udp(A, session.initiation), udp(B, session.response), udp(A, session.data('a', PING, 0)));
    const decoded = decode(file, [{ ...keys, preshared: [{ key: noise(32, 7) }] }]);
    expect(statuses(decoded)).toEqual(['1 seen', '2 authentication failed', '4 unknown session']);
    expect(decoded.summary).toMatchObject({ handshakesCompleted: 0, authenticationFailures: 1 });
  });

  test('a response without its initiation, and data without its handshake', () => {
    const decoded = decode(capture(udp(B, session.response), udp(A, session.data('a', PING, 0))), [keys]);
    expect(statuses(decoded)).toEqual(['2 seen', '4 unknown session']);
    expect(decoded.summary).toMatchObject({
      handshakesCompleted: 0,
      undecrypted: 1,
      undecryptedBecause: { 'unknown session': 1 },
    });
  });

  test('data that was captured before its handshake is held and opened', () => {
    const file = capture(
      udp(A, session.data('a', PING, 5)),
      udp(B, session.data('b', PING, 3)),
      udp(A, session.initiation),
      udp(B, session.response),
    );
    const decoded = decode(file, [keys]);
    expect(decoded.summary).toMatchObject({ decrypted: 2, innerPackets: 2 });
    expect(messagesOf(decoded).map(({ frame }) => frame)).toEqual([3, 4, 1, 2]);
  });

  test('… without disturbing what follows the response in its segment', () => {
    const reply = concat(
      asRecord(session.response),
      asRecord(session.data('b', PING, 0)),
      asRecord(session.data('b', PING, 1)),
    );
    const file = capture(
      udp(A, session.data('a', noise(900), 5)),
      ...conversation([
        ['a', asRecord(session.initiation)],
        ['b', reply],
      ]),
    );
    expect(decode(file, [keys]).summary).toMatchObject({
      decrypted: 3,
      records: 4,
      resyncs: 0,
      authenticationFailures: 0,
    });
  });

  test('… but not for ever', () => {
    const packets = [udp(A, session.data('a', PING, 5)), udp(A, session.initiation), udp(B, session.response)];
    const late = pcap(
      packets.map((data, i) => ({ seconds: 1_700_000_000 + 3 * i, nanoseconds: 0, data })),
      101,
    );
    expect(decode(late, [keys]).summary).toMatchObject({ decrypted: 0, undecrypted: 1 });
  });

  test('replays, forgeries and counters that were never seen are told apart', () => {
    const forged = session.data('a', PING, 9);
    forged[20]! ^= 1;
    const repeated = session.data('a', PING, 4);
    const file = capture(
      udp(A, session.initiation),
      udp(B, session.response),
      udp(A, repeated),
      udp(A, repeated),
      udp(A, forged),
      udp(A, session.data('a', PING, 6)),
    );
    const decoded = decode(file, [keys]);
    expect(statuses(decoded).slice(2)).toEqual(['4 decrypted', '4 replayed', '4 authentication failed', '4 decrypted']);
    expect(decoded.summary).toMatchObject({
      decrypted: 3,
      undecrypted: 1,
      replays: 1,
      authenticationFailures: 1,
      innerPackets: 3,
    });
    const peers = decoded.lines.find(({ type }) => type === 'peers')!;
    expect(peers['sent'][0]).toMatchObject({ missingCounters: 5, replays: 1, failed: 1 });
  });

  test('a repeated response completes nothing again', () => {
    const file = capture(
      udp(A, session.initiation),
      udp(A, session.initiation),
      udp(B, session.response),
      udp(B, session.response),
    );
    const decoded = decode(file, [keys]);
    expect(decoded.summary).toMatchObject({ handshakesCompleted: 1, messages: { initiation: 2, response: 2 } });
    expect(messagesOf(decoded).map(({ wg }) => (wg as { repeated?: boolean }).repeated)).toEqual([
      undefined,
      true,
      undefined,
      true,
    ]);
  });

  test('a second handshake of the same peers is a rekey, and each session has its own keys', () => {
    const tunnel = new Tunnel(3);
    const first = tunnel.handshake();
    const second = tunnel.handshake();
    const file = capture(
      udp(A, first.initiation),
      udp(B, first.response),
      udp(A, first.data('a', PING, 0)),
      udp(A, second.initiation),
      udp(B, second.response),
      udp(A, second.data('a', PING, 0)),
      udp(B, first.data('b', PING, 0)),
    );
    const decoded = decode(file, [tunnel.keys()]);
    expect(decoded.lines.filter(({ type }) => type === 'handshake').map(({ rekey }) => rekey as boolean)).toEqual([
      false,
      true,
    ]);
    expect(messagesOf(decoded).map(({ wg }) => (wg as { stream: number }).stream)).toEqual([0, 0, 0, 1, 1, 1, 0]);
    expect(decoded.summary['decrypted']).toBe(3);
  });

  test('a handshake over one connection opens data on another', () => {
    const other: Ends = { ...A, sourcePort: 40001 };
    const file = capture(
      ...conversation([
        ['a', asRecord(session.initiation)],
        ['b', asRecord(session.response)],
      ]),
      tcp(other, { sequence: 7000, flags: SYN }),
      tcp(other, { sequence: 7001, payload: asRecord(session.data('a', PING, 0)) }),
    );
    expect(decode(file, [keys]).summary).toMatchObject({ connections: 2, decrypted: 1 });
  });

  test('several messages in one datagram, as segmentation by the kernel leaves them, are taken apart', () => {
    const fresh = new Tunnel(4);
    const s = fresh.handshake();
    const messages = Array.from({ length: 5 }, () => s.data('a', concat(PING, noise(1000 - 28))));
    const last = s.data('a', PING);
    const file = capture(
      udp(A, s.initiation),
      udp(B, s.response),
      udp(A, concat(...messages, last)),
      udp(A, concat(messages[0]!, noise(800))),
    );
    const decoded = decode(file, [fresh.keys()]);
    expect(decoded.summary).toMatchObject({ decrypted: 6, messages: { data: 7 }, authenticationFailures: 1 });
  });

  test('what the capture cut is counted and named', () => {
    const long = session.data('a', noise(400), 0);
    const packet = udp(A, long);
    const writer = new PcapWriter({ linkType: 101 });
    const file = concat(
      writer.header(),
      writer.packet(1, 0, udp(A, session.initiation)),
      writer.packet(1, 1, udp(B, session.response)),
      writer.packet(1, 2, packet.slice(0, 60), packet.length),
    );
    const decoded = decode(file, [keys]);
    expect(statuses(decoded)[2]).toBe('4 bytes missing');
    expect(messagesOf(decoded)[2]).toMatchObject({ present: 32, length: 432, wg: { counter: 0, stream: 0 } });
    expect(decoded.summary).toMatchObject({
      undecrypted: 1,
      undecryptedBecause: { 'bytes missing': 1 },
      cutMessages: 1,
    });
  });

  test('a record without a message in it is counted, and those around it are found', () => {
    const odd = asRecord(noise(64).fill(9));
    const file = capture(
      ...conversation([['a', concat(asRecord(session.initiation), odd, asRecord(session.initiation))]]),
    );
    expect(decode(file, [keys]).summary).toMatchObject({ records: 3, invalidRecords: 1, messages: { initiation: 2 } });
  });

  test('a capture that ends inside a record says so, one whose connection was closed there does not', () => {
    const half = asRecord(session.initiation).slice(0, 50);
    const open = conversation([['a', concat(asRecord(session.initiation), half)]]).slice(0, -2);
    const decoded = decode(capture(...open), [keys]);
    const notice = decoded.lines.find(({ type }) => type === 'notice');
    expect(notice).toMatchObject({
      code: 'record-cut',
      error: true,
      message: expect.stringMatching(/packet 3 .* 50 of its 156 bytes/),
    });
    expect(decoded.summary).toMatchObject({ errors: 1, cutMessages: 1 });
    const closed = decode(capture(...conversation([['a', concat(asRecord(session.initiation), half)]])), [keys]);
    expect(closed.summary).toMatchObject({ errors: 0, cutMessages: 1 });
  });

  test('unknown link types and other secrets are said, once', () => {
    const writer = new PcapngWriter();
    const packets = [1, 2, 3].map(() => writer);
    const file = concat(
      writer.section(),
      writer.interface({ linkType: 105 }),
      writer.secrets('SOMETHING_ELSE = x\n'),
      ...packets.map((w) => w.packet(0, 1, 0, noise(30))),
    );
    const decoded = decode(file);
    expect(decoded.lines.filter(({ type }) => type === 'notice').map(({ code, error }) => [code, error])).toEqual([
      ['secrets-unreadable', false],
      ['link-unknown', false],
    ]);
  });

  test('fragments that are missing are said at the end', () => {
    const payload = concat(be16(1), be16(2), be16(8 + 148), be16(0), session.initiation);
    const file = capture(ip(A, 17, payload.slice(0, 80), { identification: 3, fragment: 0x2000 }));
    expect(decode(file).lines.find(({ type }) => type === 'notice')).toMatchObject({
      code: 'fragments-lost',
      error: false,
    });
  });
});

describe('which TCP connections are the tunnel’s', () => {
  const session = new Tunnel(5).handshake();
  const stranger: Ends = { ...A, source: '192.0.2.66', sourcePort: 50000 };
  const open = (ends: Ends, payload?: Uint8Array) => [
    tcp(ends, { sequence: 1, flags: SYN }),
    tcp(reversed(ends), { sequence: 1, acknowledgement: 2, flags: SYN | ACK }),
    ...(payload === undefined ? [] : [tcp(ends, { sequence: 2, payload })]),
  ];
  const counts = (file: Uint8Array) => {
    const { connections, otherConnections } = decode(file).summary;
    return [connections, otherConnections];
  };

  test('those that carried a record, and attempts between the same addresses', () => {
    const file = capture(
      ...open({ ...A, sourcePort: 1 }),
      tcp({ ...A, sourcePort: 2 }, { sequence: 1, flags: SYN }),
      tcp({ ...B, sourcePort: 3, destinationPort: 51821 }, { sequence: 1, flags: SYN }),
      ...open({ ...A, sourcePort: 4 }, asRecord(session.initiation)),
      ...open(stranger),
      ...open({ ...stranger, sourcePort: 50001 }, noise(64)),
      ...open({ ...A, sourcePort: 5, destinationPort: 22 }, noise(64)),
    );
    expect(counts(file)).toEqual([4, 3]);
  });

  test('where nothing is known, silent attempts', () => {
    expect(counts(capture(...open(A), ...open({ ...A, destinationPort: 80 }, noise(40))))).toEqual([1, 1]);
  });

  test('none, where the messages went over UDP', () => {
    expect(counts(capture(udp(A, session.initiation), ...open({ ...A, destinationPort: 22 })))).toEqual([0, 1]);
  });
});
