import { describe, expect, test } from '@jest/globals';
import { readTcp } from './segments.js';
import { bytesOf, cutUp, PeerSide, World } from './world.js';

/** A flow whose congestion window has grown to well over 64 KiB. */
function grown(options: ConstructorParameters<typeof World>[0], side: ConstructorParameters<typeof PeerSide>[1] = {}) {
  const world = new World(options);
  const peer = new PeerSide(world, { scale: 8, window: 4096, ...side });
  const native = peer.open();
  let offset = 0;
  const give = (length: number) =>
    world.turn((now) => world.stack.tcp.data(now, native.flow!, bytesOf(length, offset)));
  for (let n = 0; n < 12; n++) {
    give(40_000);
    while (offset < 40_000 * (n + 1)) {
      for (const seg of world.out.splice(0).flatMap(segments))
        offset = Math.max(offset, peer.at(seg) + seg.data.length);
      peer.send({ acked: offset });
    }
  }
  world.out.length = 0;
  world.superPackets = 0;
  return { world, peer, native, offset, give };
}

/** What one packet that was sent stands for, each part with its checksums verified. */
function segments(packet: Uint8Array) {
  return (packet[0] === 1 ? cutUp(packet) : [packet]).map(readTcp);
}

describe('super-packets that are sent', () => {
  test('are as long as a message can be, of segments as long as the peer wants them, and lose nothing', () => {
    const { world, peer, offset, give } = grown({ supers: 'whole' }, { mss: 1000 });
    give(100_000);
    const packets = world.out.splice(0);
    expect(packets.map(({ length }) => length)).toEqual([65_050, 35_050]);
    const parts = packets.flatMap(segments);
    expect(parts.every(({ data }) => data.length === 1000)).toBe(true);
    expect(parts.map((seg) => peer.at(seg))).toEqual(parts.map((_, i) => offset + 1000 * i));
    const all = parts.flatMap(({ data }) => [...data]);
    expect(Uint8Array.from(all)).toEqual(bytesOf(100_000, offset));
    expect(parts.map(({ flags }) => flags).filter((flags) => flags !== 'A')).toEqual(['PA']);
  });

  test('carry at most 128 segments, however short those are', () => {
    const { world, give } = grown({ supers: 'whole' }, { mss: 48 });
    give(20_000);
    const counts = world.out.splice(0).map((packet) => segments(packet).length);
    expect(Math.max(...counts)).toBe(128);
  });

  test('go no further than the window, and then in whole segments', () => {
    const { world, peer, native, offset, give } = grown({ supers: 'cut' });
    peer.send({ acked: offset, window: 40 });
    give(100_000);
    const parts = world.sent();
    expect(parts.map(({ data }) => data.length)).toEqual([1380, 1380, 1380, 1380, 1380, 1380, 1380]);
    expect(world.superPackets).toBe(1);
    expect(native.flow!.sendNext).toBe(offset + 7 * 1380);
  });

  test('leave room for the SACK blocks that every segment carries', () => {
    const { world, peer, offset, give } = grown({ supers: 'cut' }, { sackPermitted: true });
    peer.send({ acked: offset, offset: 5_000, data: bytesOf(10) });
    world.sent();
    give(10_000);
    const parts = world.sent();
    expect(parts.map(({ data }) => data.length)).toEqual([1368, 1368, 1368, 1368, 1368, 1368, 1368, 424]);
    for (const { sack } of parts) expect(sack).toEqual([[peer.seq(5_000), peer.seq(5_010)]]);
  });

  test('end with FIN, on the last segment', () => {
    const { world, native, give } = grown({ supers: 'cut' });
    world.turn((now) => {
      world.stack.tcp.data(now, native.flow!, bytesOf(5_000));
      world.stack.tcp.eof(now, native.flow!);
    });
    expect(world.sent().map(({ flags }) => flags)).toEqual(['A', 'A', 'A', 'FPA']);
    expect(world.superPackets).toBe(1);
    give(0);
  });

  test('begin with no more than a first window', () => {
    const world = new World({ supers: 'cut' });
    const native = new PeerSide(world, { scale: 8, window: 4096 }).open();
    world.turn((now) => world.stack.tcp.data(now, native.flow!, bytesOf(100_000)));
    expect(world.sent().reduce((sum, { data }) => sum + data.length, 0)).toBe(10 * 1380);
  });

  test('wait for a path that has no room, and go as far as it has', () => {
    const { world, give } = grown({ supers: 'cut' });
    world.room = 1000;
    give(20_000);
    expect(world.sent()).toEqual([]);
    world.room = 5000;
    world.turn();
    expect(world.sent().map(({ data }) => data.length)).toEqual([1380, 1380, 1380]);
  });

  test.each(['refused', undefined] as const)('are single segments where the path takes none (%s)', (supers) => {
    const { world, offset, give } = grown(supers === undefined ? {} : { supers });
    give(10_000);
    const packets = world.out.splice(0);
    expect(packets.map(({ length }) => length)).toEqual([1420, 1420, 1420, 1420, 1420, 1420, 1420, 380]);
    expect(Uint8Array.from(packets.map(readTcp).flatMap(({ data }) => [...data]))).toEqual(bytesOf(10_000, offset));
  });
});

describe('super-packets that arrive', () => {
  /** One that another stack has made of so many bytes. */
  function made(length: number): { packet: Uint8Array; data: Uint8Array } {
    const { world, give, offset } = grown({ supers: 'whole' });
    give(length);
    return { packet: world.out[0]!, data: bytesOf(length, offset) };
  }

  test('are one write to the native side, acknowledged at once', () => {
    const { packet, data } = made(60_000);
    // As if it were for the other stack: its ports and addresses turned round.
    const [part] = segments(packet);
    const world = new World();
    const peer = new PeerSide(world, { iss: (part!.seq - 1) >>> 0, localPort: part!.src, port: part!.dst });
    const native = peer.open();
    world.receive(turned(packet, peer.irs));
    expect(native.bytes).toEqual(data);
    world.confirm(native);
    const answers = world.sent();
    expect(answers.map((seg) => peer.acked(seg))).toEqual([60_000]);
  });
});

/** The same super-packet in the other direction, with another acknowledgement. */
function turned(packet: Uint8Array, irs: number): Uint8Array {
  const bytes = packet.slice();
  const ip = 10;
  bytes.copyWithin(ip + 12, ip + 16, ip + 20);
  bytes.set(packet.subarray(ip + 12, ip + 16), ip + 16);
  new DataView(bytes.buffer).setUint32(ip + 28, (irs + 1) >>> 0);
  return bytes;
}
