import { describe, expect, test } from '@jest/globals';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import net from 'node:net';
import { parsePrefix } from '../../src/address/ip.js';
import { isWirestreamError } from '../../src/device/errors.js';
import { EAGAIN } from '../../src/linux/errno.js';
import { interfaceExists, setUpInterface, setupCommands } from '../../src/linux/interface.js';
import { Iovecs } from '../../src/linux/iovecs.js';
import { nativeSlab } from '../../src/linux/nativeslab.js';
import { Coalescer } from '../../src/linux/offload/coalesce.js';
import { Segmenter } from '../../src/offload/segment.js';
import { VIRTIO_HEADER } from '../../src/offload/virtio.js';
import { openListening } from '../../src/linux/listen.js';
import { close, read, write, writev } from '../../src/linux/syscalls.js';
import { isInterfaceName, openTun, tunDown, tunGone, type Tun } from '../../src/linux/tun.js';
import { inNamespace, noTun, run } from './helpers.js';

const rooted = noTun === null ? test : test.skip;
const why = noTun === null ? '' : ` (SKIPPED: ${noTun})`;

const MTU = 1420;

function codeOf(action: () => unknown): string {
  try {
    action();
  } catch (error) {
    if (isWirestreamError(error)) return error.code;
    throw error;
  }
  return 'no error';
}

async function bringUp(tun: Tun, ...addresses: string[]): Promise<void> {
  await setUpInterface({
    name: tun.name,
    addresses: addresses.map((text) => hostPrefix(text)),
    mtu: MTU,
    routes: [],
  });
}

/** `10.0.0.1/24` with the host bits kept. */
function hostPrefix(text: string): { bytes: Uint8Array; length: number } {
  const [address, length] = text.split('/');
  return { bytes: parsePrefix(address!)!.bytes, length: Number(length) };
}

/**
 * Sends everything that leaves through the TUN back in with source and destination changed over, which changes no checksum: whoever
 * connects to an address behind the TUN meets a listener on this side of it. An echo request becomes its reply.
 */
class Mirror {
  reads = 0;
  packets = 0;
  writes = 0;
  longestRead = 0;
  mostPieces = 0;
  /** packets longer than the MTU: there must be none */
  tooLong = 0;
  gone = false;
  readonly #slab = nativeSlab(2 * 65_536);
  readonly #out = nativeSlab(1 << 20);
  readonly #segmenter = new Segmenter();
  readonly #iovecs = new Iovecs(256);
  readonly #coalescer: Coalescer;
  #end = 0;
  #timer: NodeJS.Immediate | null = null;

  constructor(private readonly tun: Tun) {
    this.#coalescer = new Coalescer(this.#out, tun.offload.udp, {
      write: (slab, offsets, lengths, count) => {
        this.#iovecs.clear();
        for (let i = 0; i < count; i++) this.#iovecs.push(slab, offsets[i]!, lengths[i]!);
        this.writes++;
        this.mostPieces = Math.max(this.mostPieces, count);
        expect(writev(tun.fd, this.#iovecs)).toBe(this.#iovecs.bytes);
      },
    });
    this.#turn();
  }

  stop(): void {
    if (this.#timer !== null) clearImmediate(this.#timer);
  }

  #turn(): void {
    for (let i = 0; i < 8; i++) {
      const n = read(this.tun.fd, this.#slab, 2, 65_546);
      if (n < 0) {
        if (n === -EAGAIN) break;
        this.gone = tunGone(n);
        return;
      }
      this.reads++;
      this.longestRead = Math.max(this.longestRead, n);
      if (!this.tun.vnetHeader) {
        this.#reflect(2, n);
        expect(write(this.tun.fd, this.#slab, 2, n)).toBe(n);
        continue;
      }
      if (!this.#segmenter.begin(this.#slab, 2, n)) throw new Error('the kernel contradicts itself');
      while (this.#segmenter.next()) {
        const { offset, length } = this.#segmenter;
        this.#reflect(offset, length);
        this.#end += VIRTIO_HEADER;
        this.#out.bytes.set(this.#slab.bytes.subarray(offset, offset + length), this.#end);
        this.#coalescer.add(this.#end, length);
        this.#end += length;
      }
    }
    this.#coalescer.flush();
    this.#end = 0;
    this.#timer = setImmediate(() => this.#turn());
  }

  #reflect(at: number, length: number): void {
    this.packets++;
    if (length > MTU) this.tooLong++;
    const { bytes } = this.#slab;
    const v4 = bytes[at]! >> 4 === 4;
    const [source, size] = v4 ? [at + 12, 4] : [at + 8, 16];
    const first = bytes.slice(source, source + size);
    bytes.copyWithin(source, source + size, source + 2 * size);
    bytes.set(first, source + size);
    // Echo request to echo reply: type 8 to 0, or 128 to 129, and the checksum with it.
    if (v4 && bytes[at + 9] === 1 && bytes[at + 20] === 8) this.#become(at + 20, 0, 0x800);
    if (!v4 && bytes[at + 6] === 58 && bytes[at + 40] === 128) this.#become(at + 40, 129, -0x100);
  }

  #become(at: number, type: number, difference: number): void {
    const { bytes, view } = this.#slab;
    bytes[at] = type;
    let sum = view.getUint16(at + 2) + difference;
    if (sum > 0xffff) sum -= 0xffff;
    if (sum < 0) sum += 0xffff;
    view.setUint16(at + 2, sum);
  }
}

describe('names', () => {
  test.each([
    ['wg0', true],
    ['a-b_c=d+e.f', true],
    ['123456789012345', true],
    ['wg%d', true],
    ['1234567890123456', false],
    ['', false],
    ['.', false],
    ['..', false],
    ['a b', false],
    ['a/b', false],
    ['a:b', false],
    ['é', false],
    ['a\u0000', false],
  ])('%j: %p', (name, valid) => expect(isInterfaceName(name)).toBe(valid));

  test('a name that the kernel would not take is refused', () => {
    expect(codeOf(() => openTun({ name: 'a/b', offload: true }))).toBe('tun-name');
  });
});

describe('setting up', () => {
  test('commands: addresses, link, routes from narrow to wide, none that an address makes by itself', () => {
    expect(
      setupCommands({
        name: 'wg0',
        addresses: [hostPrefix('10.1.2.3/24'), hostPrefix('fd00::5/64')],
        mtu: 1400,
        routes: ['0.0.0.0/0', '10.1.2.0/24', '10.1.2.0/25', 'fd00::/64', 'fd00:1::/48'].map((p) => parsePrefix(p)!),
      }),
    ).toEqual([
      'address add 10.1.2.3/24 dev wg0',
      'address add fd00::5/64 dev wg0',
      'link set dev wg0 mtu 1400 up',
      'route add fd00:1::/48 dev wg0',
      'route add 10.1.2.0/25 dev wg0',
      'route add 0.0.0.0/0 dev wg0',
    ]);
    expect(
      setupCommands({
        name: 'wg0',
        addresses: [hostPrefix('10.1.2.3/24')],
        mtu: 1400,
        routes: [parsePrefix('10.1.2.0/24')!],
        table: 77,
      }).at(-1),
    ).toBe('route add 10.1.2.0/24 dev wg0 table 77');
  });

  rooted('in a namespace: as asked, and gone when the TUN is closed' + why, () =>
    inNamespace(async () => {
      const tun = openTun({ name: 'wst%d', offload: true });
      expect(tun.name).toBe('wst0');
      await setUpInterface({
        name: tun.name,
        addresses: [hostPrefix('10.1.2.3/24'), hostPrefix('fd00::5/64')],
        mtu: MTU,
        routes: [parsePrefix('10.77.0.0/16')!],
      });
      const { stdout } = await run('ip', ['-json', 'address', 'show', 'dev', 'wst0']);
      const [link] = JSON.parse(stdout) as [{ mtu: number; flags: string[]; addr_info: { local: string }[] }];
      expect(link.mtu).toBe(MTU);
      expect(link.flags).toContain('UP');
      expect(link.addr_info.map(({ local }) => local)).toEqual(expect.arrayContaining(['10.1.2.3', 'fd00::5']));
      expect((await run('ip', ['route', 'get', '10.77.1.1'])).stdout).toContain('dev wst0');
      expect(await interfaceExists('wst0')).toBe(true);
      close(tun.fd);
      expect(await interfaceExists('wst0')).toBe(false);
      await expect(run('ip', ['route', 'get', '10.77.1.1'])).rejects.toThrow();
    }),
  );

  rooted("what ip refuses is said in ip's words, with the command" + why, () =>
    inNamespace(async () => {
      const tun = openTun({ name: 'wst0', offload: false });
      const setup = { name: 'wst0', addresses: [], mtu: MTU, routes: [parsePrefix('10.5.0.0/16')!] };
      await setUpInterface(setup);
      await expect(setUpInterface(setup)).rejects.toMatchObject({
        code: 'interface-setup-failed',
        message: 'ip route add 10.5.0.0/16 dev wst0: File exists',
      });
      await expect(setUpInterface({ ...setup, mtu: 5 })).rejects.toThrow('link set dev wst0 mtu 5 up');
      close(tun.fd);
    }),
  );

  test('without iproute2 the message says what to install', async () => {
    const path = process.env['PATH'];
    process.env['PATH'] = '/nonexistent';
    try {
      const setup = { name: 'wst0', addresses: [], mtu: MTU, routes: [] };
      await expect(setUpInterface(setup)).rejects.toMatchObject({ code: 'ip-missing' });
      await expect(interfaceExists('wst0')).rejects.toMatchObject({ hint: expect.stringContaining('iproute2') });
    } finally {
      process.env['PATH'] = path;
    }
  });
});

describe('the TUN', () => {
  rooted('is refused with a reason: not a TUN, in use, no privileges, a foreign descriptor' + why, () =>
    inNamespace(async () => {
      expect(codeOf(() => openTun({ name: 'lo', offload: true }))).toBe('tun-not-a-tun');
      const tun = openTun({ name: 'wst0', offload: true });
      expect(codeOf(() => openTun({ name: 'wst0', offload: true }))).toBe('tun-busy');
      process.seteuid!(65534);
      try {
        expect(codeOf(() => openTun({ name: 'wst1', offload: true }))).toBe('tun-forbidden');
        expect(codeOf(() => openListening({ port: 0, tcp: true, udp: true, mark: 5 }))).toBe('mark-forbidden');
      } finally {
        process.seteuid!(0);
      }
      expect(codeOf(() => openTun({ name: '', offload: true, fd: 0 }))).toBe('tun-not-a-tun');
      close(tun.fd);
      // None of the refusals has kept a descriptor or an interface.
      const again = openTun({ name: 'wst0', offload: true });
      expect(again.fd).toBe(tun.fd);
      close(again.fd);
      expect((await run('ip', ['-brief', 'link'])).stdout).not.toContain('wst');
    }),
  );

  rooted('that someone else opened is taken over as it is' + why, () =>
    inNamespace(async () => {
      for (const offload of [true, false]) {
        const first = openTun({ name: 'wst0', offload });
        expect(openTun({ name: 'ignored', offload: true, fd: first.fd })).toEqual(first);
        close(first.fd);
      }
      const first = openTun({ name: 'wst0', offload: true });
      expect(first.offload.tcp).toBe(true);
      expect(openTun({ name: '', offload: false, fd: first.fd })).toEqual({
        ...first,
        offload: { tcp: false, udp: false },
      });
      close(first.fd);
    }),
  );

  rooted.each([
    ['with offload', true],
    ['without offload', false],
  ])('%s: pings come back, over IPv4 and IPv6' + why, (_, offload) =>
    inNamespace(async () => {
      const tun = openTun({ name: 'wst0', offload });
      expect(tun.vnetHeader).toBe(offload);
      const mirror = new Mirror(tun);
      await bringUp(tun, '10.9.0.1/24', 'fd09::1/64');
      for (const target of ['10.9.0.2', 'fd09::2']) {
        const { stdout } = await run('ping', ['-n', '-c', '3', '-i', '0.01', '-s', '1300', '-w', '5', target]);
        expect(stdout).toContain(' 0% packet loss');
      }
      mirror.stop();
      close(tun.fd);
    }),
  );

  rooted.each([
    ['IPv4, offload', '10.9.0.1/24', '10.9.0.2', true],
    ['IPv6, offload', 'fd09::1/64', 'fd09::2', true],
    ['IPv4, no offload', '10.9.0.1/24', '10.9.0.2', false],
  ])('TCP over %s: every byte arrives, cut to the MTU and put together again' + why, (_, own, other, offload) =>
    inNamespace(async () => {
      const tun = openTun({ name: 'wst0', offload });
      const mirror = new Mirror(tun);
      await bringUp(tun, own);
      const hash = createHash('sha256');
      let received = 0;
      const server = net.createServer((socket) => {
        socket.on('data', (chunk) => {
          hash.update(chunk);
          received += chunk.length;
        });
        socket.on('end', () => socket.end());
      });
      server.listen(0, own.split('/')[0]);
      await once(server, 'listening');
      const data = randomBytes(4_000_001);
      const socket = net.connect((server.address() as net.AddressInfo).port, other);
      socket.end(data);
      await once(socket.resume(), 'close');
      server.close();
      mirror.stop();
      expect(received).toBe(data.length);
      expect(hash.digest('hex')).toBe(createHash('sha256').update(data).digest('hex'));
      expect(mirror.tooLong).toBe(0);
      expect(mirror.packets).toBeGreaterThan(data.length / MTU);
      if (offload) {
        expect(mirror.longestRead).toBeGreaterThan(10 * MTU);
        expect(mirror.mostPieces).toBeGreaterThan(10);
        expect(mirror.writes).toBeLessThan(mirror.packets / 2);
      }
      close(tun.fd);
    }),
  );

  rooted('tells "down" from "gone"' + why, () =>
    inNamespace(async () => {
      const tun = openTun({ name: 'wst0', offload: false });
      const slab = nativeSlab(4096);
      slab.bytes.set([0x45, 0, 0, 20, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
      const down = write(tun.fd, slab, 0, 20);
      expect([tunDown(down), tunGone(down)]).toEqual([true, false]);
      await run('ip', ['link', 'delete', 'wst0']);
      const gone = [write(tun.fd, slab, 0, 20), read(tun.fd, slab, 0, 2000)];
      expect(gone.map(tunGone)).toEqual([true, true]);
      expect(gone.map(tunDown)).toEqual([false, false]);
      close(tun.fd);
    }),
  );
});
