import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { libc } from '../../src/linux/libc.js';
import { MessageVector } from '../../src/linux/messagevector.js';
import { nativeSlab } from '../../src/linux/nativeslab.js';
import { Nesting, NO_HOPS } from '../../src/linux/nesting.js';
import { bindUdp, localEndpoint } from '../../src/linux/sockets.js';
import { setOption } from '../../src/linux/sockopts.js';
import { close } from '../../src/linux/syscalls.js';
import { UdpSockets } from '../../src/linux/udpsockets.js';
import { Slab } from '../../src/slab/slab.js';
import { endpointOf } from '../../src/address/endpoint.js';
import { parseIp } from '../../src/address/ip.js';
import { noIpv6 } from './helpers.js';
import { makePacket } from './offload/packets.js';

const shape = { tcp: false, source: 1, target: 2, sourcePort: 51820, targetPort: 51820 } as const;

function message(type = 4, size = 64): Uint8Array {
  const bytes = new Uint8Array(size).fill(0x5a);
  bytes.set([type, 0, 0, 0]);
  return bytes;
}

/** What a packet is carried with, among other bytes. */
function hopsOf(packet: Uint8Array, nesting = new Nesting()): number {
  const slab = Slab.plain(8192);
  slab.bytes.fill(4);
  slab.bytes.set(packet, 100);
  return nesting.hops(slab, 100, packet.length);
}

describe.each([4, 6] as const)('tunnels in tunnels, IPv%d', (version) => {
  const packet = (payload: Uint8Array, ttl = 64): Uint8Array => makePacket({ ...shape, version, payload, ttl });

  test('each tunnel that carries a WireGuard message costs it hops, until none are left', () => {
    const hops: number[] = [];
    for (let ttl = 64; ttl !== NO_HOPS; ttl = hopsOf(packet(message(), ttl))) hops.push(ttl);
    expect(hops).toEqual([64, 56, 48, 40, 32, 24, 16, 8]);
    expect(hopsOf(packet(message(), 255))).toBe(64);
    for (const type of [1, 2, 3]) expect(hopsOf(packet(message(type)))).toBe(56);
  });

  test('everything else leaves as the system wants', () => {
    for (const other of [message(5), message(0), Uint8Array.of(4, 1, 0, 0), message(4, 31), new Uint8Array(0)])
      expect(hopsOf(packet(other, 3))).toBe(0);
    expect(hopsOf(makePacket({ ...shape, tcp: true, version, payload: message(), ttl: 3 }))).toBe(0);
  });

  test('later fragments go as the first one did', () => {
    const nesting = new Nesting();
    const fragment = (id: number, first: boolean, payload: Uint8Array): Uint8Array => {
      const whole = packet(payload, 32);
      if (version === 4) {
        whole.set([id >> 8, id, first ? 0x20 : 0x00, first ? 0 : 9], 4);
        return whole;
      }
      const header = [17, 0, 0, first ? 1 : 9 << 3, 0, 0, id >> 8, id];
      whole[6] = 44;
      return Uint8Array.from([...whole.slice(0, 40), ...header, ...whole.slice(40)]);
    };
    expect(hopsOf(fragment(7, false, message()), nesting)).toBe(0);
    expect(hopsOf(fragment(7, true, message()), nesting)).toBe(24);
    expect(hopsOf(fragment(8, true, message(9)), nesting)).toBe(0);
    expect(hopsOf(fragment(8, false, message()), nesting)).toBe(0);
    expect(hopsOf(fragment(7, false, message(9)), nesting)).toBe(24);
  });
});

test('survives random bytes', () => {
  const nesting = new Nesting();
  fc.assert(
    fc.property(fc.constantFrom(0x45, 0x4f, 0x60, 0x00), fc.uint8Array({ maxLength: 100 }), (first, bytes) => {
      if (bytes.length > 0) bytes[0] = first;
      if (bytes.length > 9) bytes.set([44, bytes[7]!, bytes[8]!, 17], 6);
      hopsOf(bytes, nesting);
    }),
  );
});

/** linux/in.h, linux/in6.h: IP_RECVTTL, IPV6_RECVHOPLIMIT */
const RECEIVE_TTL = { 4: [0, 12], 6: [41, 51] } as const;

test.each(noIpv6 === null ? ([4, 6] as const) : ([4] as const))(
  'datagrams leave with the hops asked for, IPv%d',
  (family) => {
    const address = parseIp(family === 4 ? '127.0.0.1' : '::1')!;
    const [from, to] = [bindUdp(family, 0), bindUdp(family, 0)];
    const [level, name] = RECEIVE_TTL[family];
    expect(setOption(to, level, name, 1)).toBe(0);
    const sockets = new UdpSockets();
    sockets.use(family === 4 ? from : -1, family === 6 ? from : -1);
    const room = nativeSlab(4096);
    const received = new MessageVector(1);
    const seen = [0, 56, 8, 0].map((hops) => {
      sockets.hops = hops;
      sockets.commit(sockets.reserve(32), 32, endpointOf(address, localEndpoint(to)!.port));
      sockets.flush();
      received.place(0, room, 0, 4096);
      received.openRooms(0);
      expect(libc.recvmmsg(to, received.address(0, 1), 1, 0, 0)).toBe(1);
      // The last control message: an int behind a header of 16 bytes, in a room of 8.
      return received.slab.view.getInt32(received.controlAt(0) + received.controlLength(0) - 8, true);
    });
    expect(seen).toEqual([64, 56, 8, 64]);
    expect(sockets.sendFailures).toBe(0);
    close(from);
    close(to);
  },
);
