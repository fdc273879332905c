import { describe, expect, test } from '@jest/globals';
import { formatIp, parseIp } from '../../src/address/ip.js';
import { parseAllow } from '../../src/userspace/rules.js';
import { RECEIVE_LIMIT } from '../../src/userspace/tcp/constants.js';
import { bytesOf, FakeNative, OWN, PEER, PeerSide, World } from './world.js';
import { checksum as checksumOf, ipv4 as ipv4Of, tcpPacket } from './segments.js';

const address = (bytes: number[]) => Uint8Array.from(bytes);

/** A connection from the native side to port 80 of the peer's. */
function dial(world: World): { native: FakeNative; peer: PeerSide } {
  const native = new FakeNative();
  native.paused = true;
  world.turn((now) => {
    const flow = world.stack.tcp.connect(now, address(OWN), address(PEER), 80, native);
    if (typeof flow !== 'string') native.flow = flow;
  });
  const syn = world.sent()[0]!;
  const peer = new PeerSide(world, { port: syn.src, localPort: 80 });
  peer.irs = syn.seq;
  return { native, peer };
}

/** A reset, and that it was. */
const resets = new Array<string>(6).fill('RA');

describe('a connection from a peer', () => {
  test('is answered only when the native one is there', () => {
    const world = new World();
    const peer = new PeerSide(world, { mss: 1000, scale: 7, sackPermitted: true });
    peer.syn();
    peer.syn();
    world.pass(5_000);
    expect(world.sent()).toEqual([]);
    expect(world.natives).toHaveLength(1);
    expect(world.natives[0]!.target).toEqual({ kind: 'address', host: '127.0.0.1', port: 80 });
    world.turn((now) => world.stack.tcp.connected(now, world.natives[0]!.flow!));
    expect(world.sent()).toMatchObject([
      { flags: 'SA', ack: peer.seq(0), mss: 1380, scale: 8, sackPermitted: true, window: 65535 },
    ]);
  });

  test('options that were not offered are not answered', () => {
    const world = new World();
    const peer = new PeerSide(world);
    peer.syn();
    world.turn((now) => world.stack.tcp.connected(now, world.natives[0]!.flow!));
    const [synAck] = world.sent();
    expect(synAck!.scale).toBeUndefined();
    expect(synAck!.sackPermitted).toBeUndefined();
  });

  test('goes where it wants to go when that is not this host', () => {
    const world = new World();
    world.receive(tcpPacket(PEER, [192, 0, 2, 7], { src: 1, dst: 443, flags: 'S', seq: 1 }));
    expect(world.natives[0]!.target).toEqual({ kind: 'address', host: '192.0.2.7', port: 443 });
  });

  test('is reset when the native one is refused', () => {
    const world = new World();
    const peer = new PeerSide(world);
    peer.syn();
    world.turn((now) => world.stack.tcp.refused(now, world.natives[0]!.flow!, 'refused'));
    expect(world.sent()).toMatchObject([{ flags: 'RA', seq: 0, ack: peer.seq(0) }]);
    expect(world.stack.flows(world.now)).toEqual([]);
    // The next attempt is a new one.
    peer.syn();
    expect(world.natives).toHaveLength(2);
  });

  test.each([
    ['unreachable', 1],
    ['prohibited', 13],
  ] as const)('is told by ICMP when the native one is %s', (failure, code) => {
    const world = new World();
    const peer = new PeerSide(world);
    peer.syn();
    world.turn((now) => world.stack.tcp.refused(now, world.natives[0]!.flow!, failure));
    const [icmp] = world.out;
    expect([icmp![9], icmp![20], icmp![21]]).toEqual([1, 3, code]);
    // It quotes the SYN: addresses, ports and sequence number.
    const quoted = icmp!.subarray(28);
    expect([...quoted.subarray(12, 24)]).toEqual([...PEER, ...OWN, 0x9c, 0x40, 0, 80]);
    expect(new DataView(quoted.buffer, quoted.byteOffset).getUint32(24)).toBe(peer.iss);
  });

  test.each(['timeout', 'no-resources'] as const)(
    'hears nothing on %s, as from a host that is not there',
    (failure) => {
      const world = new World();
      new PeerSide(world).syn();
      world.turn((now) => world.stack.tcp.refused(now, world.natives[0]!.flow!, failure));
      expect(world.out).toEqual([]);
      expect(world.stack.tcp.table.size).toBe(0);
    },
  );

  test('to a closed port of ours gets a reset, beyond us an ICMP error, and a native socket neither', () => {
    const world = new World({ rules: [parseAllow('127.0.0.1:81')] });
    new PeerSide(world, { port: 80 }).syn();
    expect(world.sent()).toMatchObject([{ flags: 'RA', src: 80, ack: 5001 }]);
    world.receive(tcpPacket(PEER, [192, 0, 2, 7], { src: 1, dst: 443, flags: 'S', seq: 1 }));
    expect([world.out[0]![9], world.out[0]![20], world.out[0]![21]]).toEqual([1, 3, 13]);
    expect(world.natives).toEqual([]);
    expect(world.stack.tcp.counters.refused).toBe(2);
  });

  test('is given up after 10 s without a native answer, in silence', () => {
    const world = new World();
    new PeerSide(world).syn();
    world.pass(9_999);
    expect(world.natives[0]!.calls).toEqual([]);
    world.pass(1);
    expect(world.natives[0]!.calls).toEqual(['reset']);
    expect(world.out).toEqual([]);
    expect(world.stack.tcp.table.size).toBe(0);
  });

  test('SYN-ACK is repeated after 1, 3 and 7 s, and everything reset after 10', () => {
    const world = new World();
    new PeerSide(world).syn();
    const native = world.natives[0]!;
    world.turn((now) => world.stack.tcp.connected(now, native.flow!));
    const times: [number, string][] = [];
    const start = world.now;
    for (let n = 0; n < 120; n++) {
      for (const seg of world.sent()) times.push([world.now - start, seg.flags]);
      world.pass(100);
    }
    expect(times).toEqual([
      [0, 'SA'],
      [1000, 'SA'],
      [3000, 'SA'],
      [7000, 'SA'],
      [10_000, 'RA'],
    ]);
    expect(native.calls).toEqual(['reset']);
  });

  test('a repeated SYN gets its SYN-ACK again, another one an acknowledgement that makes its sender reset', () => {
    const world = new World();
    const peer = new PeerSide(world);
    peer.open();
    const other = new PeerSide(world, { iss: 99 });
    other.syn();
    expect(world.sent()).toMatchObject([{ flags: 'A', ack: peer.seq(0) }]);
    // What a host that knows nothing of the old connection answers.
    world.receive(other.packet({ flags: 'R', seq: peer.seq(0) }));
    expect(world.natives[0]!.calls).toEqual(['established', 'reset']);
    other.syn();
    expect(world.natives).toHaveLength(2);
  });

  test('segments that belong to nothing are reset, resets are not', () => {
    const world = new World();
    const peer = new PeerSide(world);
    world.receive(peer.packet({ flags: 'A', seq: 7, ack: 1234 }));
    expect(world.sent()).toMatchObject([{ flags: 'R', seq: 1234 }]);
    world.receive(peer.packet({ flags: 'F', seq: 7, data: bytesOf(3) }));
    expect(world.sent()).toMatchObject([{ flags: 'RA', seq: 0, ack: 11 }]);
    world.receive(peer.packet({ flags: 'R', seq: 7 }), peer.packet({ flags: 'RA', seq: 7, ack: 3 }));
    expect(world.sent()).toEqual([]);
  });

  test('works over IPv6, with 20 bytes less to a segment', () => {
    const world = new World();
    const ip = [parseIp('fd00::9')!, parseIp('fd00::2')!];
    const segment = tcpPacket([...ip[0]!], [...ip[1]!], { src: 1000, dst: 80, flags: 'S', seq: 1, mss: 9000 }).subarray(
      20,
    );
    const packet = Uint8Array.from([0x60, 0, 0, 0, 0, segment.length, 6, 64, ...ip[0]!, ...ip[1]!, ...segment]);
    world.receive(packet);
    expect(world.natives[0]!.target).toEqual({ kind: 'address', host: '::1', port: 80 });
    world.turn((now) => world.stack.tcp.connected(now, world.natives[0]!.flow!));
    const reply = world.out[0]!;
    expect([formatIp(reply, 8, 16), formatIp(reply, 24, 16), reply[6]]).toEqual(['fd00::2', 'fd00::9', 6]);
    expect([...reply.subarray(60, 64)]).toEqual([2, 4, 1360 >> 8, 1360 & 255]);
  });
});

describe('a connection into the tunnel', () => {
  test('SYN, SYN-ACK, ACK; only then is the native side told and read', () => {
    const world = new World();
    const { native, peer } = dial(world);
    expect(native.calls).toEqual([]);
    expect(native.paused).toBe(true);
    world.receive(peer.packet({ flags: 'SA', seq: peer.iss, ack: peer.ack(0), mss: 1000, scale: 3, window: 100 }));
    expect(world.sent()).toMatchObject([{ flags: 'A', seq: peer.ack(0), ack: peer.seq(0) }]);
    expect(native.calls).toEqual(['established']);
    expect(native.paused).toBe(false);
    world.turn((now) => world.stack.tcp.data(now, native.flow!, bytesOf(5000)));
    // The window of a SYN is not scaled.
    expect(world.sent().map((seg) => seg.data.length)).toEqual([100]);
    peer.send({ acked: 100, window: 250 });
    expect(world.sent().map((seg) => seg.data.length)).toEqual([1000, 1000]);
  });

  test('refused by a reset', () => {
    const world = new World();
    const { native, peer } = dial(world);
    world.receive(peer.packet({ flags: 'R', seq: 0 }));
    world.receive(peer.packet({ flags: 'RA', seq: 0, ack: peer.ack(5) }));
    expect(native.calls).toEqual([]);
    world.receive(peer.packet({ flags: 'RA', seq: 0, ack: peer.ack(0) }));
    expect(native.calls).toEqual(['failed refused']);
    expect(world.stack.tcp.table.size).toBe(0);
  });

  test('refused by ICMP, if that quotes our SYN', () => {
    const world = new World();
    const { native, peer } = dial(world);
    const syn = tcpPacket(OWN, PEER, { src: peer.options.port!, dst: 80, seq: peer.irs });
    world.receive(icmp(3, 13, tcpPacket(OWN, PEER, { src: peer.options.port!, dst: 80, seq: peer.irs + 1 })));
    expect(native.calls).toEqual([]);
    world.receive(icmp(3, 13, syn));
    expect(native.calls).toEqual(['failed prohibited']);
  });

  test('not answered: SYN again after 1, 3 and 7 s, given up after 10', () => {
    const world = new World();
    const { native } = dial(world);
    world.pass(9_999);
    expect(world.sent().map((seg) => seg.flags)).toEqual(['S', 'S', 'S']);
    expect(native.calls).toEqual([]);
    world.pass(1);
    expect(native.calls).toEqual(['failed timeout']);
    expect(world.stack.nextWakeAt(world.now)).toBe(Infinity);
  });

  test('opened by both sides at once', () => {
    const world = new World();
    const { native, peer } = dial(world);
    world.receive(peer.packet({ flags: 'S', seq: peer.iss, mss: 1380 }));
    expect(world.sent()).toMatchObject([{ flags: 'SA', seq: peer.irs, ack: peer.seq(0) }]);
    world.receive(peer.packet({ flags: 'SA', seq: peer.iss, ack: peer.ack(0), mss: 1380 }));
    expect(world.sent()).toMatchObject([{ flags: 'A' }]);
    peer.send({ data: bytesOf(5) });
    expect(native.calls).toEqual(['established']);
    expect(native.bytes).toEqual(bytesOf(5));
  });

  test('a wrong acknowledgement is reset and ours goes on', () => {
    const world = new World();
    const { native, peer } = dial(world);
    world.receive(peer.packet({ flags: 'SA', seq: 1, ack: 4711 }));
    expect(world.sent()).toMatchObject([{ flags: 'R', seq: 4711 }]);
    world.receive(peer.packet({ flags: 'SA', seq: peer.iss, ack: peer.ack(0) }));
    expect(native.calls).toEqual(['established']);
  });
});

describe('data from a peer', () => {
  test('is acknowledged when the native side has taken it, not before', () => {
    const world = new World();
    const peer = new PeerSide(world);
    const native = peer.open();
    world.receive(peer.segment({ data: bytesOf(1000) }), peer.segment({ offset: 1000, data: bytesOf(1000, 1000) }));
    world.pass(5);
    expect(world.sent()).toEqual([]);
    expect(native.bytes).toEqual(bytesOf(2000));
    world.confirm(native, 500);
    world.pass(20);
    expect(world.sent().map((seg) => peer.acked(seg))).toEqual([500]);
    world.confirm(native);
    world.pass(20);
    expect(world.sent().map((seg) => peer.acked(seg))).toEqual([2000]);
  });

  test('a little is acknowledged after 10 ms, or by what goes back', () => {
    const world = new World();
    const peer = new PeerSide(world);
    const native = peer.open();
    peer.send({ data: bytesOf(1380) });
    world.confirm(native);
    peer.send({ offset: 1380, data: bytesOf(10) });
    world.confirm(native);
    world.pass(9);
    expect(world.sent()).toEqual([]);
    world.pass(1);
    expect(world.sent().map((seg) => peer.acked(seg))).toEqual([1390]);
    peer.send({ offset: 1390, data: bytesOf(10) });
    world.confirm(native);
    world.turn((now) => world.stack.tcp.data(now, native.flow!, bytesOf(3)));
    expect(world.sent().map((seg) => [seg.data.length, peer.acked(seg)])).toEqual([[3, 1400]]);
    world.pass(50);
    expect(world.sent()).toEqual([]);
  });

  test('is put in order; the sender hears of the gap, with SACK where it knows that', () => {
    const world = new World();
    const peer = new PeerSide(world, { sackPermitted: true });
    const native = peer.open();
    peer.send({ offset: 100, data: bytesOf(100, 100) });
    peer.send({ offset: 400, data: bytesOf(100, 400) });
    peer.send({ offset: 200, data: bytesOf(100, 200) });
    expect(native.bytes).toHaveLength(0);
    const blocks = world.sent().map((seg) => seg.sack!.map((edges) => edges.map((edge) => (edge - peer.seq(0)) | 0)));
    expect(blocks).toEqual([
      [[100, 200]],
      [
        [400, 500],
        [100, 200],
      ],
      [
        [100, 300],
        [400, 500],
      ],
    ]);
    peer.send({ data: bytesOf(400) });
    expect(native.bytes).toEqual(bytesOf(500));
  });

  test('without SACK each segment behind a gap is a duplicate acknowledgement', () => {
    const world = new World();
    const peer = new PeerSide(world);
    peer.open();
    world.receive(...[1, 2, 3].map((n) => peer.segment({ offset: 100 * n, data: bytesOf(100) })));
    expect(world.sent().map((seg) => peer.acked(seg))).toEqual([0, 0, 0]);
  });

  test('what is beyond the limit is not kept', () => {
    const world = new World();
    const peer = new PeerSide(world, { scale: 8 });
    const native = peer.open();
    for (let at = 0; at < RECEIVE_LIMIT + 100_000; at += 1000) peer.send({ offset: at, data: bytesOf(1000, at) });
    expect(native.writtenBytes).toBe(RECEIVE_LIMIT);
    expect(world.stack.buffersInUse).toBeLessThanOrEqual(RECEIVE_LIMIT / 65536 + 1);
    world.sent();
    world.confirm(native);
    expect(world.stack.buffersInUse).toBe(0);
    const [ack] = world.sent();
    expect([peer.acked(ack!), ack!.window]).toEqual([RECEIVE_LIMIT, RECEIVE_LIMIT >> 8]);
  });

  test('a probe behind a window, a keepalive and an old segment are answered', () => {
    const world = new World();
    const peer = new PeerSide(world);
    const native = peer.open();
    peer.send({ data: bytesOf(10) });
    world.confirm(native);
    world.pass(20);
    world.sent();
    peer.send({ offset: 9 });
    peer.send({ offset: 0, data: bytesOf(10) });
    peer.send({ offset: 9, data: bytesOf(1, 9) });
    expect(world.sent().map((seg) => peer.acked(seg))).toEqual([10, 10, 10]);
    expect(native.writtenBytes).toBe(10);
  });

  test('sequence numbers may wrap in the middle of it', () => {
    const world = new World({ random: (out) => out.fill(0xff) });
    const peer = new PeerSide(world, { iss: 0xffff_fff0 });
    const native = peer.open();
    peer.send({ data: bytesOf(100) });
    expect(native.bytes).toEqual(bytesOf(100));
    world.confirm(native);
    world.turn((now) => world.stack.tcp.data(now, native.flow!, bytesOf(300)));
    const [seg] = world.sent();
    expect([seg!.seq, seg!.ack]).toEqual([0, 85]);
    peer.send({ offset: 100, acked: 300 });
    world.pass(60_000);
    expect(world.sent()).toEqual([]);
  });
});

describe('data for a peer', () => {
  test('goes out in segments of its MSS, within its window, and is read no further ahead than the limit', () => {
    const world = new World();
    const peer = new PeerSide(world, { mss: 500, window: 3000 });
    const native = peer.open();
    for (let n = 0; n < 100 && !native.paused; n++) {
      world.turn((now) => world.stack.tcp.data(now, native.flow!, bytesOf(8192)));
    }
    expect(native.paused).toBe(true);
    expect(world.stack.tcp.readAhead).toBeLessThanOrEqual(65536 + 8192);
    const lengths = world.sent().map((seg) => seg.data.length);
    expect(lengths).toEqual([500, 500, 500, 500, 500, 500]);
    // Acknowledged bit by bit until half has gone: then it is read again.
    let acked = 0;
    for (; native.paused; acked += 3000) peer.send({ acked: acked + 3000 });
    expect(world.stack.tcp.readAhead).toBeLessThanOrEqual(32_768);
    expect(world.stack.tcp.readAhead).toBeGreaterThan(25_000);
  });

  test('a closed window is probed, at growing intervals and for ever if it is answered', () => {
    const world = new World();
    const peer = new PeerSide(world, { window: 0 });
    const native = peer.open();
    world.turn((now) => world.stack.tcp.data(now, native.flow!, bytesOf(10)));
    expect(world.sent()).toEqual([]);
    const times: number[] = [];
    const start = world.now;
    for (let n = 0; n < 6000 && times.length < 14; n++) {
      world.pass(100);
      for (const seg of world.sent()) {
        times.push(world.now - start);
        expect([peer.at(seg), seg.data.length]).toEqual([-1, 0]);
        peer.send({ window: 0 });
      }
    }
    expect(times.slice(0, 4)).toEqual([500, 1000, 1800, 3400]);
    expect(times[13]! - times[12]!).toBe(60_000);
    peer.send({ window: 1000 });
    expect(world.sent()).toMatchObject([{ data: bytesOf(10) }]);
  });

  test('a closed window and no answer: the flow is reset in the end', () => {
    const world = new World();
    const peer = new PeerSide(world, { window: 0 });
    const native = peer.open();
    world.turn((now) => world.stack.tcp.data(now, native.flow!, bytesOf(10)));
    world.pass(300_000);
    expect(world.sent().map((seg) => seg.flags)).toEqual([...new Array<string>(7).fill('A'), ...resets]);
    expect(native.calls).toEqual(['established', 'reset']);
  });

  test('nothing acknowledged: sent again 7 times, each wait twice the last, then reset on both sides', () => {
    const world = new World();
    const peer = new PeerSide(world);
    const native = peer.open();
    world.turn((now) => world.stack.tcp.data(now, native.flow!, bytesOf(10)));
    world.sent();
    const times: number[] = [];
    const start = world.now;
    for (let n = 0; n < 1000 && native.calls.length === 1; n++) {
      world.pass(100);
      for (const seg of world.sent()) times.push(seg.flags.includes('R') ? -(world.now - start) : world.now - start);
    }
    expect(times).toEqual([200, 600, 1400, 3000, 6200, 12_600, 25_400, -51_000]);
    expect(native.calls).toEqual(['established', 'reset']);
    expect(world.stack.tcp.readAhead).toBe(0);
  });

  test('the first wait is 2 s while no round trip is known, and follows it afterwards', () => {
    const world = new World();
    const peer = new PeerSide(world);
    peer.syn();
    const native = world.natives[0]!;
    world.turn((now) => world.stack.tcp.connected(now, native.flow!));
    world.pass(1_500);
    // SYN-ACK went out twice: its round trip is nobody's guess.
    peer.irs = world.sent()[0]!.seq;
    peer.send({});
    world.turn((now) => world.stack.tcp.data(now, native.flow!, bytesOf(10)));
    world.sent();
    world.pass(300);
    peer.send({ acked: 10 });
    world.turn((now) => world.stack.tcp.data(now, native.flow!, bytesOf(10)));
    expect(world.sent()).toHaveLength(1);
    // 300 + 4 × 150 (RFC 6298).
    world.pass(899);
    expect(world.sent()).toEqual([]);
    world.pass(1);
    expect(world.sent()).toHaveLength(1);
  });

  test('with SACK only what is missing goes out again', () => {
    const world = new World();
    const peer = new PeerSide(world, { sackPermitted: true });
    const native = peer.open();
    world.turn((now) => world.stack.tcp.data(now, native.flow!, bytesOf(8 * 1380)));
    expect(world.sent()).toHaveLength(8);
    const edge = (n: number) => peer.ack(n * 1380);
    peer.send({
      acked: 1380,
      sack: [
        [edge(2), edge(3)],
        [edge(5), edge(8)],
      ],
    });
    expect(world.sent().map((seg) => peer.at(seg) / 1380)).toEqual([1, 3, 4]);
    peer.send({ acked: 8 * 1380 });
    world.pass(10_000);
    expect(world.sent()).toEqual([]);
  });

  test('a path that takes shorter packets only gets them', () => {
    const world = new World();
    const peer = new PeerSide(world);
    const native = peer.open();
    world.turn((now) => world.stack.tcp.data(now, native.flow!, bytesOf(2000)));
    world.sent();
    const quoted = tcpPacket(OWN, PEER, { src: 80, dst: 40_000, seq: peer.ack(0) });
    world.receive(icmp(3, 4, quoted, 1000));
    expect(world.sent().map((seg) => [peer.at(seg), seg.data.length])).toEqual([
      [0, 960],
      [960, 960],
      [1920, 80],
    ]);
    // Not below what every path takes, and never because of somebody else's packets.
    world.receive(icmp(3, 4, quoted, 68));
    expect(world.sent()[0]!.data.length).toBe(536);
    world.receive(icmp(3, 4, tcpPacket(OWN, PEER, { src: 80, dst: 40_000, seq: peer.ack(99_999) }), 600));
    expect(world.sent()).toEqual([]);
  });

  test('waits, without loss, while the path has no room', () => {
    const world = new World();
    const peer = new PeerSide(world, { window: 65535 });
    const native = peer.open();
    world.room = 3000;
    world.turn((now) => world.stack.tcp.data(now, native.flow!, bytesOf(10_000)));
    expect(world.sent()).toHaveLength(2);
    world.pass(60);
    expect(world.sent()).toEqual([]);
    world.room = Infinity;
    world.pass(60);
    expect(world.sent().map((seg) => peer.at(seg))).toEqual([2760, 4140, 5520, 6900, 8280, 9660]);
  });

  test('flows take turns on a path that is full', () => {
    const world = new World();
    const peers = [1, 2, 3].map((n) => new PeerSide(world, { localPort: n, scale: 8 }));
    const natives = peers.map((peer) => peer.open());
    for (const native of natives) native.flow!.congestion.window = 1e6;
    world.turn((now) => {
      for (const native of natives) world.stack.tcp.data(now, native.flow!, bytesOf(65_000));
      world.room = 0;
    });
    const shares = [0, 0, 0];
    for (let n = 0; n < 9; n++) {
      world.room = 20_000;
      world.turn();
      for (const seg of world.sent()) shares[seg.dst - 1]! += seg.data.length;
    }
    expect(Math.min(...shares)).toBeGreaterThan(50_000);
  });
});

describe('ends', () => {
  test('half-closed by the peer: the other direction goes on for as long as it takes', () => {
    const world = new World();
    const peer = new PeerSide(world);
    const native = peer.open();
    peer.send({ flags: 'FA' });
    expect(native.calls).toEqual(['established', 'end']);
    world.pass(3_600_000);
    world.sent();
    world.turn((now) => world.stack.tcp.data(now, native.flow!, bytesOf(10)));
    expect(world.sent()).toMatchObject([{ data: bytesOf(10) }]);
    peer.send({ offset: 1, acked: 10 });
    world.turn((now) => world.stack.tcp.eof(now, native.flow!));
    expect(world.sent()).toMatchObject([{ flags: 'FA' }]);
    peer.send({ offset: 1, acked: 11 });
    expect(native.calls).toEqual(['established', 'end', 'close']);
  });

  test('half-closed by the native side: the peer may go on', () => {
    const world = new World();
    const peer = new PeerSide(world);
    const native = peer.open();
    world.turn((now) => world.stack.tcp.eof(now, native.flow!));
    expect(world.sent()).toMatchObject([{ flags: 'FA' }]);
    peer.send({ acked: 1 });
    world.pass(3_600_000);
    expect(world.stack.flows(world.now)).toMatchObject([{ state: 'half-closed' }]);
    peer.send({ acked: 1, data: bytesOf(10) });
    expect(native.bytes).toEqual(bytesOf(10));
    world.confirm(native);
    peer.send({ offset: 10, acked: 1, flags: 'FA' });
    expect(native.calls).toEqual(['established', 'end', 'close']);
    world.sent();
    // A repeated FIN is answered for a minute, and then no longer known.
    peer.send({ offset: 10, acked: 1, flags: 'FA' });
    expect(world.sent().map((seg) => peer.acked(seg))).toEqual([11]);
    world.pass(60_000);
    peer.send({ offset: 10, acked: 1, flags: 'FA' });
    expect(world.sent()).toMatchObject([{ flags: 'R' }]);
  });

  test('closed by both sides at once', () => {
    const world = new World();
    const peer = new PeerSide(world);
    const native = peer.open();
    world.turn((now) => world.stack.tcp.eof(now, native.flow!));
    peer.send({ flags: 'FA' });
    peer.send({ offset: 1, acked: 1 });
    expect(native.calls).toEqual(['established', 'end', 'close']);
    expect(world.sent().map((seg) => peer.acked(seg))).toEqual([0, 1]);
  });

  test('both sides are done but the native one takes nothing more: reset after 60 s', () => {
    const world = new World();
    const peer = new PeerSide(world);
    const native = peer.open();
    world.turn((now) => world.stack.tcp.eof(now, native.flow!));
    peer.send({ acked: 1, flags: 'FA', data: bytesOf(10) });
    world.pass(59_000);
    expect(native.calls).toEqual(['established', 'end']);
    world.pass(2_000);
    expect(native.calls).toEqual(['established', 'end', 'reset']);
  });

  test('an idle flow is kept for two hours', () => {
    const world = new World();
    const peer = new PeerSide(world);
    const native = peer.open();
    world.pass(7_199_000);
    peer.send({ data: bytesOf(1) });
    world.confirm(native);
    world.pass(7_199_000);
    expect(native.calls).toEqual(['established']);
    world.sent();
    world.pass(2_000);
    expect(native.calls).toEqual(['established', 'reset']);
    world.pass(10_000);
    expect(world.sent().map(({ flags }) => flags)).toEqual(resets);
  });

  test('a reset from the peer resets the native side, if it is in the window', () => {
    const world = new World();
    const peer = new PeerSide(world);
    const native = peer.open();
    peer.send({ offset: -100, flags: 'R' });
    peer.send({ offset: 2_000_000, flags: 'R' });
    expect(native.calls).toEqual(['established']);
    // Whether it means this flow is asked, so that it can say so with the number that is expected.
    expect(world.sent().map((seg) => [seg.flags, peer.acked(seg)])).toEqual([
      ['A', 0],
      ['A', 0],
    ]);
    // Data before it was lost; the reset is none the less.
    peer.send({ offset: 500, flags: 'R' });
    expect(native.calls).toEqual(['established', 'reset']);
    expect(world.sent()).toEqual([]);
  });

  test('a native reset is one for the peer', () => {
    const world = new World();
    const peer = new PeerSide(world);
    const native = peer.open();
    world.turn((now) => world.stack.tcp.data(now, native.flow!, bytesOf(10)));
    world.sent();
    world.turn(() => world.stack.tcp.broken(native.flow!));
    expect(world.sent().map((seg) => [seg.flags, peer.at(seg)])).toEqual([['RA', 10]]);
    expect(world.stack.tcp.table.size).toBe(0);
    world.turn((now) => {
      world.stack.tcp.data(now, native.flow!, bytesOf(10));
      world.stack.tcp.taken(now, native.flow!, 5);
      world.stack.tcp.eof(now, native.flow!);
      world.stack.tcp.broken(native.flow!);
    });
    expect(world.sent()).toEqual([]);
  });

  test('a reset is repeated, in case that it was lost', () => {
    const world = new World();
    const peer = new PeerSide(world);
    const native = peer.open();
    world.turn(() => world.stack.tcp.broken(native.flow!));
    const times: number[] = [];
    const began = world.now;
    for (let at = 0; at <= 20_000; at += 100, world.pass(100)) {
      for (const seg of world.sent()) {
        times.push(world.now - began);
        expect([seg.flags, peer.at(seg), peer.acked(seg)]).toEqual(['RA', 0, 0]);
      }
    }
    expect(times).toEqual([0, 200, 600, 1400, 3000, 6200]);
    expect(world.stack.nextWakeAt(world.now)).toBe(Infinity);
  });

  test('a reset is not repeated into another flow of the same ports', () => {
    const world = new World();
    const peer = new PeerSide(world);
    const native = peer.open();
    world.turn(() => world.stack.tcp.broken(native.flow!));
    world.sent();
    const next = new PeerSide(world, { iss: 77_000 });
    next.open();
    world.pass(20_000);
    expect(world.sent()).toEqual([]);
  });

  test('a reset has the newest number that was sent, also while older data goes out again', () => {
    const world = new World();
    const peer = new PeerSide(world);
    const native = peer.open();
    world.turn((now) => world.stack.tcp.data(now, native.flow!, bytesOf(5_000)));
    world.pass(2_100);
    world.sent();
    world.turn(() => world.stack.tcp.broken(native.flow!));
    expect(world.sent().map((seg) => [seg.flags, peer.at(seg)])).toEqual([['RA', 5_000]]);
  });

  test('flows that wait to repeat a reset are bounded', () => {
    const world = new World({ limits: { flows: 4_096, flowsPerPeer: 4_096, halfOpen: 4_096, halfOpenPerPeer: 4_096 } });
    for (let n = 0; n < 1_030; n++) {
      const native = new PeerSide(world, { localPort: 2_000 + n }).open();
      world.turn(() => world.stack.tcp.broken(native.flow!));
    }
    world.sent();
    world.pass(200);
    expect(world.sent().length).toBe(1_024);
    world.stack.close();
    expect(world.stack.nextWakeAt(world.now)).toBe(Infinity);
  });

  test('a native side that went away in order: data for it is answered with a reset, an end is not', () => {
    for (const more of [true, false]) {
      const world = new World();
      const peer = new PeerSide(world);
      const native = peer.open();
      world.turn((now) => world.stack.tcp.orphaned(now, native.flow!));
      expect(world.sent()).toMatchObject([{ flags: 'FA' }]);
      peer.send({ acked: 1, ...(more ? { data: bytesOf(10) } : { flags: 'FA' }) });
      expect(world.sent()).toMatchObject([{ flags: more ? 'RA' : 'A' }]);
      expect(world.stack.flows(world.now)).toEqual([]);
    }
  });

  test('closing the stack resets what is open, and leaves nothing', () => {
    const world = new World();
    const open = new PeerSide(world).open();
    new PeerSide(world, { localPort: 2 }).syn();
    const { native } = dial(world);
    world.turn(() => world.stack.close());
    expect(world.sent()).toMatchObject([{ flags: 'RA', dst: 40_000 }]);
    expect([open.calls.at(-1), world.natives[1]!.calls, native.calls]).toEqual([
      'reset',
      ['reset'],
      ['failed refused'],
    ]);
    expect(world.stack.tcp.table.size).toBe(0);
    expect(world.stack.nextWakeAt(world.now)).toBe(Infinity);
  });
});

describe('limits', () => {
  test('a flood of SYNs takes a share of the table, and passes', () => {
    const world = new World({ limits: { flows: 100, flowsPerPeer: 80, halfOpen: 40, halfOpenPerPeer: 20 } });
    const established = new PeerSide(world).open();
    for (let n = 0; n < 5_000; n++) {
      world.receive(tcpPacket([10, 0, n >> 8, n & 255], OWN, { src: 1000 + n, dst: 80, flags: 'S', seq: n }));
    }
    expect(world.stack.tcp.table.size).toBe(21);
    expect(world.stack.tcp.counters.overflow).toBe(4980);
    // Those who finish make room at once, the others after 10 s.
    for (const native of world.natives.slice(1)) world.turn((now) => world.stack.tcp.connected(now, native.flow!));
    world.pass(10_000);
    expect(world.stack.tcp.table.size).toBe(1);
    expect(world.natives.slice(1).every((native) => native.calls.at(-1) === 'reset')).toBe(true);
    expect(established.calls).toEqual(['established']);
    expect(new PeerSide(world, { localPort: 7 }).open().calls).toEqual(['established']);
  });

  test('a full table: the flow that is idle for longest gives way if that is long, else the new one waits', () => {
    const world = new World({ limits: { flows: 3, flowsPerPeer: 3, halfOpen: 3, halfOpenPerPeer: 3 } });
    const natives = [1, 2, 3].map((n) => {
      world.pass(1_000);
      return new PeerSide(world, { localPort: n }).open();
    });
    new PeerSide(world, { localPort: 4 }).syn();
    expect(world.natives).toHaveLength(3);
    world.pass(299_000);
    new PeerSide(world, { localPort: 4 }).syn();
    expect(world.natives).toHaveLength(4);
    expect(natives.map((native) => native.calls.at(-1))).toEqual(['reset', 'established', 'established']);
  });

  test('flows that have ended do not count', () => {
    const world = new World({ limits: { flows: 2, flowsPerPeer: 2, halfOpen: 2, halfOpenPerPeer: 2 } });
    for (let n = 1; n <= 50; n++) {
      const peer = new PeerSide(world, { localPort: n });
      const native = peer.open();
      world.turn((now) => world.stack.tcp.eof(now, native.flow!));
      peer.send({ acked: 1, flags: 'FA' });
      expect(native.calls.at(-1)).toBe('close');
    }
    expect(world.stack.tcp.admission.flows).toBe(0);
  });
});

/** An ICMP error about a packet, from the peer. */
function icmp(type: number, code: number, about: Uint8Array, mtu = 0): Uint8Array {
  const body = Uint8Array.from([type, code, 0, 0, 0, 0, mtu >> 8, mtu & 255, ...about.subarray(0, 28)]);
  const sum = checksumOf(body);
  body[2] = sum >> 8;
  body[3] = sum & 255;
  return ipv4Of(PEER, OWN, 1, body);
}
