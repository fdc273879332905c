import { describe, expect, test } from '@jest/globals';
import { configure } from '../../src/device/configure.js';
import { portableCrypto } from '../../src/noise/portable.js';
import { Slab } from '../../src/slab/slab.js';
import { now, pair, settle, type Host } from '../support/hosts.js';
import { ipv4Packet, pairSettings } from '../support/pair.js';

const send = (host: Host, bytes: Uint8Array) => {
  const slab = Slab.plain(4096);
  slab.bytes.set(bytes);
  return host.device.packet(now, slab, 0, bytes.length);
};

describe('two devices over TCP', () => {
  test('a packet starts a dial and a handshake, arrives unchanged, and the answer comes back', () => {
    const [a, b] = pair();
    const out = ipv4Packet(1, 2, 84);
    expect(send(a, out)).toBe(true);
    settle(a, b);
    expect(b.received).toEqual([out]);
    const back = ipv4Packet(2, 1, 1420);
    expect(send(b, back)).toBe(true);
    settle(a, b);
    expect(a.received).toEqual([back]);
    const snapshot = b.device.snapshot(now);
    expect(snapshot.pending.size).toBe(0);
    expect(snapshot.peers[0]!.connections).toMatchObject([
      { direction: 'inbound', state: 'authenticated', active: true },
    ]);
    expect(a.device.snapshot(now).peers[0]!.connections).toMatchObject([
      { direction: 'outbound', state: 'authenticated' },
    ]);
    expect(a.slabs.out + b.slabs.out).toBe(0);
  });

  test('a packet from a source outside the allowed IPs is dropped and counted', () => {
    const [a, b] = pair();
    send(a, ipv4Packet(9, 2, 84));
    settle(a, b);
    expect(b.received).toEqual([]);
    expect(b.device.snapshot(now).peers[0]!.drops).toEqual({ 'wrong-source': 1 });
  });

  test('a device without an endpoint for its peer cannot send until the peer has dialled', () => {
    const [a, b] = pair();
    expect(send(b, ipv4Packet(2, 1, 60))).toBe(false);
    expect(b.device.snapshot(now).peers[0]!.drops).toEqual({ 'no-endpoint': 1 });
    send(a, ipv4Packet(1, 2, 60));
    settle(a, b);
    expect(send(b, ipv4Packet(2, 1, 60))).toBe(true);
    settle(a, b);
    expect(a.received).toHaveLength(1);
  });

  test('with another private key it comes as another peer, on a connection of its own, at once', () => {
    const [a, b] = pair();
    send(a, ipv4Packet(1, 2, 84));
    settle(a, b);
    const privateKey = new Uint8Array(32).fill(3);
    const { allowedIps } = pairSettings(2).peers[0]!;
    // The peer that it was is still known.
    configure(b.device, now, { peers: [{ publicKey: portableCrypto.publicKey(privateKey), allowedIps }] });
    configure(a.device, now, { privateKey, peers: [] });
    const out = ipv4Packet(1, 2, 99);
    send(a, out);
    settle(a, b);
    expect(b.received.at(-1)).toEqual(out);
    const [was, is] = b.device.snapshot(now).peers;
    expect([was!.connections, is!.connections]).toMatchObject([[], [{ direction: 'inbound', active: true }]]);
  });

  test('after close nothing is left', () => {
    const [a, b] = pair();
    send(a, ipv4Packet(1, 2, 84));
    settle(a, b);
    a.device.close();
    settle(a, b);
    expect(a.device.nextWake()).toBeNull();
    expect(a.device.indices.size).toBe(0);
    expect(a.slabs.out).toBe(0);
  });
});
