import { describe, expect, test } from '@jest/globals';
import { MessageType, TRANSPORT_OVERHEAD } from '../../src/messages/constants.js';
import { writeTransportHeader } from '../../src/messages/write.js';
import { Slab } from '../../src/slab/slab.js';
import type { Connection } from '../../src/stream/connection.js';
import { RecordKind } from '../../src/stream/outbox.js';
import { hex, makePacket, makeSuper, slowSegment, virtioBytes } from '../linux/offload/packets.js';
import { now, pair, settle, type Host } from '../support/hosts.js';
import { ipv4Packet } from '../support/pair.js';

/** A super-packet from 10.0.0.`source` to 10.0.0.`target`, as a TUN gives it, and the packets that it stands for. */
function train(source: number, target: number, size = 5000, segment = 1380) {
  const payload = Uint8Array.from({ length: size }, (_, i) => i * 7);
  const ports = { sourcePort: 1000, targetPort: 80, flags: 0x18, seq: 0xffff_f000, id: 0xfffe };
  const made = makeSuper(makePacket({ version: 4, tcp: true, source, target, payload, ...ports }), segment);
  const bytes = Uint8Array.from([...virtioBytes(made.virtio), ...made.packet]);
  return { bytes, packets: slowSegment(made.virtio, made.packet) };
}

const inSlab = (bytes: Uint8Array): Slab => {
  const slab = Slab.plain(70_000);
  slab.bytes.set(bytes, 16);
  return slab;
};
const offer = (host: Host, bytes: Uint8Array): boolean => host.device.superPacket(now, inSlab(bytes), 16, bytes.length);
const meet = (a: Host, b: Host): void => {
  a.device.packet(now, inSlab(ipv4Packet(1, 2, 84)), 16, 84);
  settle(a, b);
  b.received.length = 0;
};
const drops = (host: Host) => host.device.snapshot(now).peers[0]!.drops;
const peerOf = (host: Host) => [...host.device.peers.values()][0]!;

/** Seals any plaintext, as a hostile peer could. */
function sealed(from: Host, plaintext: Uint8Array): void {
  const peer = peerOf(from);
  const keypair = peer.keypairs.current!;
  const carrier = peer.carrier!;
  const room = carrier.reserve(plaintext.length + TRANSPORT_OVERHEAD);
  keypair.nextCounter();
  const { counterHi, counterLo, remoteIndex } = keypair;
  keypair.send.seal(counterHi, counterLo, inSlab(plaintext), 16, plaintext.length, carrier.slab, room + 16);
  writeTransportHeader(carrier.slab.bytes, room, remoteIndex, counterHi, counterLo);
  carrier.commit(RecordKind.data, now);
}

describe('super-packets between two devices', () => {
  test('travel as one message, and are cut up at the other end where nothing takes them whole', () => {
    const [a, b] = pair();
    meet(a, b);
    const { bytes, packets } = train(1, 2);
    const before = peerOf(a).keypairs.current!.nextLo;
    const received = peerOf(b).rxBytes;
    expect(offer(a, bytes)).toBe(true);
    settle(a, b);
    expect(peerOf(a).keypairs.current!.nextLo).toBe(before + 1);
    expect(b.received.map(hex)).toEqual(packets.map(hex));
    // The message is padded to 16.
    expect(peerOf(b).rxBytes - received).toBe(Math.ceil(bytes.length / 16) * 16 + TRANSPORT_OVERHEAD);
    expect(offer(b, train(2, 1).bytes)).toBe(true);
    settle(a, b);
    expect(a.received).toHaveLength(4);
  });

  test('are delivered whole where the driver takes them', () => {
    const [a, b] = pair();
    const whole: Uint8Array[] = [];
    let takes = true;
    b.inner.commitSuper = (offset: number, length: number) => {
      if (takes) whole.push(b.inner.slab.bytes.slice(offset, offset + length));
      return takes;
    };
    meet(a, b);
    const { bytes, packets } = train(1, 2);
    offer(a, bytes);
    settle(a, b);
    expect(whole.map(hex)).toEqual([hex(bytes)]);
    takes = false;
    offer(a, bytes);
    settle(a, b);
    expect(b.received.map(hex)).toEqual(packets.map(hex));
  });

  test('of up to 64 KiB pass', () => {
    const [a, b] = pair();
    meet(a, b);
    const { bytes, packets } = train(1, 2, 65_493 - 40, 1380);
    expect(offer(a, bytes)).toBe(true);
    settle(a, b);
    expect(b.received.map(hex)).toEqual(packets.map(hex));
    expect(offer(a, train(1, 2, 65_494 - 40, 1380).bytes)).toBe(false);
  });

  test('are not taken while what was sent before waits for the path', () => {
    const [a, b] = pair();
    meet(a, b);
    const { bytes } = train(1, 2);
    const { outbox } = peerOf(a).carrier as Connection;
    offer(a, bytes);
    offer(a, bytes);
    // The driver comes to write, late, which is this end's own fault …
    outbox.peek(now + 50);
    outbox.peek(now + 75);
    expect(offer(a, bytes)).toBe(true);
    // … but then the socket takes nothing.
    outbox.written(0);
    expect(offer(a, bytes)).toBe(false);
    settle(a, b);
    expect(offer(a, bytes)).toBe(true);
  });

  test('are not taken before there are keys, without a peer, or from a TUN that contradicts itself', () => {
    const [a, b] = pair();
    const { bytes } = train(1, 2);
    expect(offer(a, bytes)).toBe(false);
    meet(a, b);
    expect(offer(a, train(1, 9).bytes)).toBe(false);
    const wrong = bytes.slice();
    wrong[6] = 21;
    expect(offer(a, wrong)).toBe(false);
    expect(offer(a, bytes)).toBe(true);
  });

  test.each([1, 2] as const)('are not sent, nor taken, with extensions off at end %d', (which) => {
    const [a, b] = pair((settings, end) => (end === which ? { ...settings, extensions: false } : settings));
    meet(a, b);
    for (const [host, from, to] of [
      [a, 1, 2],
      [b, 2, 1],
    ] as const) {
      expect(offer(host, train(from, to).bytes)).toBe(false);
    }
    const [off, on] = which === 1 ? [a, b] : [b, a];
    const before = off.received.length;
    sealed(on, train(which === 1 ? 2 : 1, which).bytes);
    settle(a, b);
    expect(off.received.length).toBe(before);
    expect(drops(off)).toMatchObject({ 'malformed-inner': 2 });
  });

  test('are not sent to who announced other abilities', () => {
    const [a, b] = pair();
    b.device.abilities = 2;
    meet(a, b);
    expect(offer(a, train(1, 2).bytes)).toBe(false);
    expect(offer(b, train(2, 1).bytes)).toBe(true);
  });

  test('are dropped and counted when they are not what they have to be, and end nothing', () => {
    const [a, b] = pair();
    meet(a, b);
    const { bytes, packets } = train(1, 2);
    for (const [at, value] of [
      [1, 3],
      [2, 99],
      [5, 255],
      [6, 200],
      [8, 4],
      [13, 1],
    ] as const) {
      const wrong = bytes.slice();
      wrong[at] = value;
      sealed(a, wrong);
    }
    sealed(a, Uint8Array.of(1));
    sealed(a, bytes.subarray(0, 60));
    settle(a, b);
    expect(b.received).toEqual([]);
    expect(drops(b)).toEqual({ 'bad-offload-record': 8 });
    sealed(a, bytes);
    settle(a, b);
    expect(b.received.map(hex)).toEqual(packets.map(hex));
  });

  test('from an address that is not the peer’s are dropped', () => {
    const [a, b] = pair();
    meet(a, b);
    sealed(a, train(9, 2).bytes);
    settle(a, b);
    expect(b.received).toEqual([]);
    expect(drops(b)).toEqual({ 'wrong-source': 1 });
  });

  test('type and reserved bytes of the message are those of any data', () => {
    const [a, b] = pair();
    meet(a, b);
    offer(a, train(1, 2).bytes);
    const { outbox } = [...peerOf(a).links.all][0]!;
    expect(outbox.peek(now)).toBe(true);
    expect([...outbox.slab.bytes.slice(outbox.runOffset + 8, outbox.runOffset + 12)]).toEqual([
      MessageType.transport,
      0,
      0,
      0,
    ]);
  });
});
