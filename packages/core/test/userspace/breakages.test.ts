import { describe, expect, test } from '@jest/globals';
import { bytesOf, PeerSide, World } from './world.js';

/** Conditions that once broke passt's translator (REFERENCES F.6), each as a test. */
describe('what once broke passt', () => {
  test('FIN,ACK and then SYN from the same port: the new flow opens at once', () => {
    const world = new World();
    const peer = new PeerSide(world);
    const first = peer.open();
    // The native side is done; the peer acknowledges that and ends too, and reuses its port in the same batch.
    world.turn((now) => world.stack.tcp.eof(now, first.flow!));
    expect(world.sent()).toMatchObject([{ flags: 'FA' }]);
    const again = new PeerSide(world, { iss: 900_000 });
    world.receive(
      peer.segment({ flags: 'FA', acked: 1, data: bytesOf(10) }),
      again.packet({ flags: 'S', seq: again.iss, mss: 1380 }),
    );
    expect(world.natives).toHaveLength(2);
    // The old one still gets its last bytes and its end.
    expect(first.bytes).toEqual(bytesOf(10));
    expect(first.calls).toEqual(['established', 'end']);
    world.confirm(first);
    expect(first.calls).toEqual(['established', 'end', 'close']);
    world.turn((now) => world.stack.tcp.connected(now, world.natives[1]!.flow!));
    expect(world.sent().at(-1)).toMatchObject({ flags: 'SA', ack: 900_001 });
  });

  test('a flow that ended in order gives way to a SYN from the same port, whatever its sequence number', () => {
    const world = new World();
    const peer = new PeerSide(world);
    const native = peer.open();
    world.turn((now) => world.stack.tcp.eof(now, native.flow!));
    peer.send({ flags: 'FA', acked: 1 });
    world.sent();
    expect(native.calls.at(-1)).toBe('close');
    expect(world.stack.flows(world.now)).toEqual([]);
    new PeerSide(world, { iss: 1 }).syn();
    expect(world.natives).toHaveLength(2);
    expect(world.stack.flows(world.now)).toMatchObject([{ state: 'opening' }]);
  });

  test('RST and then a quick SYN: nothing of the old flow is left in the way', () => {
    const world = new World();
    const peer = new PeerSide(world);
    const first = peer.open();
    const again = new PeerSide(world, { iss: 77 });
    world.receive(peer.segment({ flags: 'R' }), again.packet({ flags: 'S', seq: again.iss, mss: 1380, window: 1000 }));
    expect(first.calls).toEqual(['established', 'reset']);
    expect(world.natives).toHaveLength(2);
    world.turn((now) => world.stack.tcp.connected(now, world.natives[1]!.flow!));
    expect(world.sent()).toMatchObject([{ flags: 'SA', ack: 78 }]);
  });

  test('a FIN without data is acknowledged', () => {
    const world = new World();
    const peer = new PeerSide(world);
    const native = peer.open();
    peer.send({ flags: 'FA' });
    expect(native.calls).toEqual(['established', 'end']);
    expect(world.sent().map((seg) => peer.acked(seg))).toEqual([1]);
    // And again, should that acknowledgement be lost.
    peer.send({ flags: 'FA' });
    expect(world.sent().map((seg) => peer.acked(seg))).toEqual([1]);
    expect(native.calls).toEqual(['established', 'end']);
  });

  test('a FIN behind data is acknowledged only when the native side has taken the data', () => {
    const world = new World();
    const peer = new PeerSide(world);
    const native = peer.open();
    peer.send({ flags: 'FA', data: bytesOf(100) });
    expect(native.calls).toEqual(['established', 'end']);
    expect(world.sent()).toEqual([]);
    world.confirm(native);
    expect(world.sent().map((seg) => peer.acked(seg))).toEqual([101]);
  });

  test('fast resend is not confused by FIN: acknowledgements with FIN or data are no duplicates', () => {
    const world = new World();
    const peer = new PeerSide(world);
    const native = peer.open();
    world.turn((now) => world.stack.tcp.data(now, native.flow!, bytesOf(5 * 1380)));
    expect(world.sent()).toHaveLength(5);
    // The peer ends its side and repeats its FIN; the acknowledgement number stands still, but nothing was lost.
    peer.send({ flags: 'FA' });
    peer.send({ flags: 'FA' });
    peer.send({ flags: 'FA' });
    expect(world.sent().filter((seg) => seg.data.length > 0)).toEqual([]);
    // Duplicates proper, behind the FIN: the second one resends what is missing, once.
    peer.send({ offset: 1 });
    expect(world.sent()).toEqual([]);
    peer.send({ offset: 1 });
    const resent = world.sent();
    expect(resent.map((seg) => [peer.at(seg), seg.data.length])).toEqual([[0, 1380]]);
  });

  test('our own FIN in flight is resent by duplicates like data, and once', () => {
    const world = new World();
    const peer = new PeerSide(world);
    const native = peer.open();
    world.turn((now) => {
      world.stack.tcp.data(now, native.flow!, bytesOf(100));
      world.stack.tcp.eof(now, native.flow!);
    });
    expect(world.sent()).toMatchObject([{ flags: 'FPA' }]);
    peer.send({ acked: 100 });
    peer.send({ acked: 100 });
    expect(world.sent()).toEqual([]);
    peer.send({ acked: 100 });
    expect(world.sent().map((seg) => [seg.flags, peer.at(seg), seg.data.length])).toEqual([['FA', 100, 0]]);
    peer.send({ acked: 101 });
    world.pass(5_000);
    expect(world.sent()).toEqual([]);
  });

  test('the window is taken from the newest acknowledgement of a batch, not the last one in it', () => {
    const world = new World();
    const peer = new PeerSide(world);
    const native = peer.open();
    world.turn((now) => world.stack.tcp.data(now, native.flow!, bytesOf(1000)));
    world.sent();
    // Reordered on the way: the older one, with its small window, comes last.
    world.receive(peer.segment({ acked: 1000, window: 5520 }), peer.segment({ acked: 500, window: 10 }));
    world.turn((now) => world.stack.tcp.data(now, native.flow!, bytesOf(6000, 1000)));
    const sent = world.sent();
    expect(sent.reduce((sum, seg) => sum + seg.data.length, 0)).toBe(5520);
  });

  test('after the acknowledgement time-out everything unacknowledged goes out again, from the first byte', () => {
    const world = new World();
    const peer = new PeerSide(world);
    const native = peer.open();
    world.turn((now) => world.stack.tcp.data(now, native.flow!, bytesOf(3000)));
    expect(world.sent().map((seg) => peer.at(seg))).toEqual([0, 1380, 2760]);
    world.pass(199);
    expect(world.sent()).toEqual([]);
    world.pass(2);
    expect(world.sent().map((seg) => [peer.at(seg), seg.data.length])).toEqual([[0, 1380]]);
    peer.send({ acked: 1380 });
    expect(world.sent().map((seg) => peer.at(seg))).toEqual([1380, 2760]);
    peer.send({ acked: 3000 });
    world.pass(600_000);
    expect(world.sent()).toEqual([]);
  });

  test('a stalled flow acknowledges what was taken, with a closed window, and re-opens it', () => {
    const world = new World();
    const peer = new PeerSide(world, { scale: 0 });
    const native = peer.open();
    peer.send({ data: bytesOf(1000) });
    world.confirm(native, 400);
    peer.send({ offset: 1000, data: bytesOf(1000, 1000) });
    world.sent();
    world.pass(200);
    const stalled = world.sent().at(-1)!;
    expect([peer.acked(stalled), stalled.window]).toEqual([400, 0]);
    // A probe gets the same answer.
    peer.send({ offset: 2000, data: bytesOf(1, 2000) });
    expect(world.sent().map((seg) => [peer.acked(seg), seg.window])).toEqual([[400, 0]]);
    world.confirm(native);
    const [opened] = world.sent();
    expect(peer.acked(opened!)).toBeGreaterThanOrEqual(2000);
    expect(opened!.window).toBeGreaterThan(0);
  });

  test('the empty acknowledgement of the handshake comes before any data', () => {
    const world = new World();
    const native = world.natives;
    world.turn((now) => {
      world.stack.tcp.connect(now, Uint8Array.from([10, 0, 0, 2]), Uint8Array.from([10, 0, 0, 1]), 80, client);
    });
    expect(native).toEqual([]);
    const [syn] = world.sent();
    const peer = new PeerSide(world, { port: syn!.src, localPort: 80 });
    peer.irs = syn!.seq;
    // The native side had data ready.
    const flow = [...world.stack.tcp.table.values()][0]!;
    world.turn((now) => world.stack.tcp.data(now, flow, bytesOf(10)));
    expect(world.sent()).toEqual([]);
    world.receive(peer.packet({ flags: 'SA', seq: peer.iss, ack: peer.ack(0), mss: 1380 }));
    const sent = world.sent();
    expect(sent.map((seg) => [seg.flags, seg.data.length, peer.acked(seg)])).toEqual([
      ['A', 0, 0],
      ['PA', 10, 0],
    ]);
  });

  test('data in the segment that completes the handshake is not lost', () => {
    const world = new World();
    const peer = new PeerSide(world);
    peer.syn();
    const native = world.natives[0]!;
    world.turn((now) => world.stack.tcp.connected(now, native.flow!));
    peer.irs = world.sent()[0]!.seq;
    peer.send({ data: bytesOf(20) });
    expect(native.bytes).toEqual(bytesOf(20));
  });
});

const client = {
  write: () => undefined,
  end: () => undefined,
  reset: () => undefined,
  close: () => undefined,
  pause: () => undefined,
  resume: () => undefined,
  established: () => undefined,
  failed: () => undefined,
};
