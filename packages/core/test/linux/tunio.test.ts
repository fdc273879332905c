import { afterEach, describe, expect, test } from '@jest/globals';
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Epoll } from '../../src/linux/epoll.js';
import { EAGAIN } from '../../src/linux/errno.js';
import { nativeSlab } from '../../src/linux/nativeslab.js';
import { close, send } from '../../src/linux/syscalls.js';
import type { Tun } from '../../src/linux/tun.js';
import { TunInput } from '../../src/linux/tuninput.js';
import { TunOutput } from '../../src/linux/tunoutput.js';
import type { Slab } from '../../src/slab/slab.js';
import { socketPair } from './helpers.js';
import {
  hex,
  makePacket,
  makeSuper,
  parseVirtio,
  PLAIN,
  slowSegment,
  virtioBytes,
  type PacketShape,
} from './offload/packets.js';

const cleanups: (() => void)[] = [];
afterEach(() => {
  for (const cleanup of cleanups.splice(0)) cleanup();
});

const OFFLOAD = { vnetHeader: true, offload: { tcp: true, udp: true } };
const HEADER_ONLY = { vnetHeader: true, offload: { tcp: false, udp: false } };
const BARE = { vnetHeader: false, offload: { tcp: false, udp: false } };

const base: PacketShape = {
  version: 4,
  tcp: true,
  source: 1,
  target: 2,
  sourcePort: 3,
  targetPort: 4,
  payload: new Uint8Array(0),
  flags: 0x10,
};

function train(count: number, size: number, shape: Partial<PacketShape> = {}): Uint8Array[] {
  const payload = Uint8Array.from({ length: count * size }, (_, i) => i * 13);
  const { virtio, packet } = makeSuper(makePacket({ ...base, ...shape, payload }), size);
  return slowSegment(virtio, packet);
}

/** A file in the TUN's place: what is written to it can be read back, packet by packet. */
function fileTun(kind: Omit<Tun, 'fd' | 'name'>): { tun: Tun; written: () => Uint8Array[] } {
  const folder = mkdtempSync(join(tmpdir(), 'wirestream-tun-'));
  const path = join(folder, 'out');
  const fd = openSync(path, 'w');
  cleanups.push(() => {
    closeSync(fd);
    rmSync(folder, { recursive: true });
  });
  return {
    tun: { fd, name: 'file', ...kind },
    written: () => {
      const bytes = readFileSync(path);
      const packets: Uint8Array[] = [];
      for (let at = 0; at < bytes.length;) {
        const header = kind.vnetHeader ? 10 : 0;
        const ip = at + header;
        const length = bytes[ip]! >> 4 === 4 ? bytes.readUInt16BE(ip + 2) : 40 + bytes.readUInt16BE(ip + 4);
        packets.push(Uint8Array.from(bytes.subarray(at, ip + length)));
        at = ip + length;
      }
      return packets;
    },
  };
}

function deliver(output: TunOutput, packet: Uint8Array): void {
  // As the device does: room for the padding too.
  const room = output.reserve(packet.length + 15);
  output.slab.bytes.set(packet, room);
  output.commit(room, packet.length);
}

describe('towards the TUN', () => {
  test('with offload: put together, written at the end of the batch, and cut up again the same', () => {
    const { tun, written } = fileTun(OFFLOAD);
    const output = new TunOutput(tun);
    const packets = [...train(20, 1000), ...train(3, 50, { version: 6 })];
    for (const packet of packets) deliver(output, packet);
    expect(written()).toEqual([]);
    output.flush();
    expect([output.packets, output.writes, output.refused]).toEqual([23, 2, 0]);
    const again = written().flatMap((bytes) => slowSegment(parseVirtio(bytes), bytes.slice(10)));
    expect(again.map(hex)).toEqual(packets.map(hex));
    output.flush();
    expect(output.writes).toBe(2);
  });

  test('more than the slab holds is written in between, nothing is lost or changed', () => {
    const { tun, written } = fileTun(OFFLOAD);
    const output = new TunOutput(tun);
    const packets = Array.from({ length: 60 }, (_, i) =>
      makePacket({ ...base, sourcePort: i, payload: new Uint8Array(20_000 + i).fill(i) }),
    );
    for (const packet of packets) deliver(output, packet);
    expect(written().length).toBeGreaterThan(20);
    output.flush();
    expect(written().map((bytes) => hex(bytes))).toEqual(
      packets.map((packet) => hex(virtioBytes(PLAIN)) + hex(packet)),
    );
    expect(output.reserve(600_000)).toBe(-1);
  });

  test('room that is not committed is used again', () => {
    const { tun, written } = fileTun(OFFLOAD);
    const output = new TunOutput(tun);
    const first = output.reserve(100);
    output.slab.bytes.fill(0xff, first, first + 100);
    expect(output.reserve(200)).toBe(first);
    const [packet] = train(1, 100);
    deliver(output, packet!);
    output.flush();
    expect(written().map((bytes) => hex(bytes.slice(10)))).toEqual([hex(packet!)]);
  });

  test.each([
    ['a header but no offload', HEADER_ONLY],
    ['no header', BARE],
  ])('%s: each packet is written at once, as it is', (_, kind) => {
    const { tun, written } = fileTun(kind);
    const output = new TunOutput(tun);
    const packets = train(5, 100);
    const header = kind.vnetHeader ? hex(virtioBytes(PLAIN)) : '';
    packets.forEach((packet, i) => {
      deliver(output, packet);
      expect(written().map(hex)).toEqual(packets.slice(0, i + 1).map((each) => header + hex(each)));
    });
    output.flush();
    expect(output.writes).toBe(5);
  });

  test('a super-packet is written as it is, behind what waits; without offload it is not taken', () => {
    const { virtio, packet } = makeSuper(makePacket({ ...base, payload: new Uint8Array(5000).fill(3) }), 1380);
    const [before, after] = train(2, 100);
    const { tun, written } = fileTun(OFFLOAD);
    const output = new TunOutput(tun);
    const put = (): boolean => {
      const room = output.reserve(10 + packet.length);
      output.slab.bytes.set(virtioBytes(virtio), room);
      output.slab.bytes.set(packet, room + 10);
      return output.commitSuper(room, 10 + packet.length);
    };
    deliver(output, before!);
    expect(put()).toBe(true);
    deliver(output, after!);
    output.flush();
    const plain = hex(virtioBytes(PLAIN));
    expect(written().map(hex)).toEqual([
      plain + hex(before!),
      hex(virtioBytes(virtio)) + hex(packet),
      plain + hex(after!),
    ]);
    expect([output.packets, output.writes]).toEqual([3, 3]);
    const without = fileTun(HEADER_ONLY);
    expect(new TunOutput(without.tun).commitSuper(16, 5000)).toBe(false);
    expect(without.written()).toEqual([]);
  });

  test('a kernel that takes no super-packets gets none from then on', () => {
    // Writing to an epoll descriptor is EINVAL, which is what such kernels say.
    const epoll = new Epoll(1);
    cleanups.push(() => epoll.close());
    const { tun, written } = fileTun(OFFLOAD);
    const refusing = { ...tun, fd: epoll.fd };
    const output = new TunOutput(refusing);
    for (const packet of train(4, 100)) deliver(output, packet);
    output.flush();
    expect([output.merges, output.refused, output.writes]).toEqual([false, 4, 1]);
    refusing.fd = tun.fd;
    const packets = train(4, 100);
    for (const packet of packets) deliver(output, packet);
    output.flush();
    expect(written().map((bytes) => hex(bytes.slice(10)))).toEqual(packets.map(hex));
    expect([output.refused, output.gone]).toEqual([4, false]);
  });
});

describe('from the TUN', () => {
  /** A datagram socket in the TUN's place. */
  function socketTun(kind: Omit<Tun, 'fd' | 'name'>): { tun: Tun; put: (...parts: Uint8Array[]) => void } {
    const [fd, other] = socketPair('datagram');
    cleanups.push(() => {
      close(fd);
      close(other);
    });
    const slab = nativeSlab(70_000);
    return {
      tun: { fd, name: 'socket', ...kind },
      put: (...parts) => {
        let length = 0;
        for (const part of parts) {
          slab.bytes.set(part, length);
          length += part.length;
        }
        expect(send(other, slab, 0, length)).toBe(length);
      },
    };
  }

  /** Takes IPv4 and refuses IPv6; overwrites what it may behind each packet. */
  function taker() {
    const taken: string[] = [];
    return {
      taken,
      packet: (_now: number, slab: Slab, offset: number, length: number): boolean => {
        taken.push(hex(slab.bytes.subarray(offset, offset + length)));
        slab.bytes.fill(0, offset + length, offset + length + 15);
        return slab.bytes[offset]! >> 4 === 4;
      },
    };
  }

  test('super-packets come out as the packets that they stand for, the largest there is included', () => {
    const { tun, put } = socketTun(OFFLOAD);
    const input = new TunInput(tun);
    const { virtio, packet } = makeSuper(
      makePacket({ ...base, payload: new Uint8Array(65_535 - 40).map((_, i) => i * 7) }),
      1380,
    );
    put(virtioBytes(virtio), packet);
    const device = taker();
    expect(input.read(0, device)).toBe(65_545);
    expect(device.taken).toEqual(slowSegment(virtio, packet).map(hex));
    expect(input.packets).toBe(48);
    expect(input.read(0, device)).toBe(-EAGAIN);
  });

  test('super-packets are offered whole first, and cut up when they are not taken', () => {
    const { tun, put } = socketTun(OFFLOAD);
    const input = new TunInput(tun);
    const { virtio, packet } = makeSuper(makePacket({ ...base, payload: new Uint8Array(5000).fill(3) }), 1380);
    const [plain] = train(1, 100);
    const device = taker();
    const whole: string[] = [];
    const superPacket = (_now: number, slab: Slab, offset: number, length: number): boolean => {
      whole.push(hex(slab.bytes.subarray(offset, offset + length)));
      return whole.length === 1;
    };
    for (let i = 0; i < 2; i++) put(virtioBytes(virtio), packet);
    put(virtioBytes(PLAIN), plain!);
    for (let i = 0; i < 3; i++) expect(input.read(0, { ...device, superPacket })).toBeGreaterThan(0);
    expect(whole).toEqual(Array(2).fill(hex(virtioBytes(virtio)) + hex(packet)));
    expect(device.taken).toEqual([...slowSegment(virtio, packet), plain!].map(hex));
    expect(input.packets).toBe(1 + 4 + 1);
  });

  test('without a header packets come as they are', () => {
    const { tun, put } = socketTun(BARE);
    const [packet] = train(1, 100);
    put(packet!);
    const device = taker();
    expect(new TunInput(tun).read(0, device)).toBe(packet!.length);
    expect(device.taken).toEqual([hex(packet!)]);
  });

  test('what nobody takes is shown once more; what contradicts itself is counted and dropped', () => {
    const { tun, put } = socketTun(OFFLOAD);
    const refused: string[] = [];
    const input = new TunInput(tun, (slab, offset, length) => {
      refused.push(hex(slab.bytes.subarray(offset, offset + length)));
    });
    const device = taker();
    const [six] = train(1, 100, { version: 6 });
    put(virtioBytes(PLAIN), six!);
    put(virtioBytes({ ...PLAIN, gsoType: 77 }), six!);
    put(virtioBytes(PLAIN));
    for (let i = 0; i < 3; i++) expect(input.read(0, device)).toBeGreaterThan(0);
    expect(refused).toEqual([hex(six!)]);
    expect(device.taken).toEqual([hex(six!)]);
    expect([input.packets, input.malformed]).toEqual([1, 2]);
  });
});
