import { afterEach, describe, expect, test } from '@jest/globals';
import dgram from 'node:dgram';
import { once } from 'node:events';
import { endpointOf, formatEndpoint, type Endpoint } from '../../src/address/endpoint.js';
import { parseIp } from '../../src/address/ip.js';
import { bindUdp, localEndpoint } from '../../src/linux/sockets.js';
import { close } from '../../src/linux/syscalls.js';
import { UdpSockets } from '../../src/linux/udpsockets.js';
import { inNamespace, newNamespace, noIpv6, noTun, run } from './helpers.js';

const rooted = noTun === null ? test : test.skip;
const why = noTun === null ? '' : ` (SKIPPED: ${noTun})`;

const cleanups: (() => void)[] = [];
afterEach(() => {
  for (const cleanup of cleanups.splice(0)) cleanup();
});

interface Got {
  text: string;
  from: Endpoint;
}

/** Our sockets on a free port, and what comes in there. */
function server(offload = true) {
  const udp4 = bindUdp(4, 0);
  const { port } = localEndpoint(udp4)!;
  const udp6 = bindUdp(6, port);
  const sockets = new UdpSockets(offload);
  sockets.use(udp4, udp6);
  const got: Got[] = [];
  const taker = {
    datagram: (_now: number, slab: { bytes: Uint8Array }, offset: number, length: number, from: Endpoint) => {
      got.push({ text: Buffer.from(slab.bytes.subarray(offset, offset + length)).toString(), from });
    },
  };
  const receive = async (count: number): Promise<void> => {
    while (got.length < count) {
      for (const fd of [udp4, udp6]) expect(sockets.receive(0, fd, taker as never)).toBe(0);
      await new Promise((resolve) => setImmediate(resolve));
    }
  };
  cleanups.push(() => {
    close(udp4);
    close(udp6);
  });
  return { sockets, port, got, receive };
}

async function client(address: string): Promise<dgram.Socket> {
  const socket = dgram.createSocket(address.includes(':') ? 'udp6' : 'udp4');
  socket.bind(0, address);
  await once(socket, 'listening');
  cleanups.push(() => socket.close());
  return socket;
}

function send(sockets: UdpSockets, text: string, to: Endpoint): void {
  const room = sockets.reserve(text.length);
  sockets.slab.bytes.set(Buffer.from(text), room);
  sockets.commit(room, text.length, to);
}

describe('UDP sockets', () => {
  test.each([
    ['127.0.0.1', ['127.0.0.1', '127.0.0.2', '127.9.9.9']],
    ...(noIpv6 === null ? ([['::1', ['::1']]] as const) : []),
  ] as const)('a reply to %s comes from the very address that was spoken to', async (from, addresses) => {
    const { sockets, port, got, receive } = server();
    const socket = await client(from);
    for (const address of addresses) {
      got.length = 0;
      socket.send('hello', port, address);
      await receive(1);
      expect(got[0]).toMatchObject({ text: 'hello', from: { address: from, port: socket.address().port } });
      send(sockets, 'reply', got[0]!.from);
      sockets.flush();
      const [message, info] = (await once(socket, 'message')) as [Buffer, dgram.RemoteInfo];
      expect([String(message), info.address, info.port]).toEqual(['reply', address, port]);
    }
  });

  test('an endpoint that was heard at one address does not become another because someone spoke to another', async () => {
    const { sockets, port, got, receive } = server();
    const socket = await client('127.0.0.1');
    socket.send('a', port, '127.0.0.2');
    await receive(1);
    socket.send('b', port, '127.0.0.3');
    await receive(2);
    socket.send('c', port, '127.0.0.2');
    await receive(3);
    const [a, b, c] = got.map(({ from }) => from);
    expect(formatEndpoint(a!)).toBe(formatEndpoint(b!));
    const heard: string[] = [];
    socket.on('message', (message, info) => heard.push(`${String(message)} from ${info.address}`));
    send(sockets, 'to a', a!);
    send(sockets, 'to b', b!);
    send(sockets, 'to c', c!);
    sockets.flush();
    while (heard.length < 3) await new Promise((resolve) => setImmediate(resolve));
    expect(heard).toEqual(['to a from 127.0.0.2', 'to b from 127.0.0.3', 'to c from 127.0.0.2']);
  });

  (noIpv6 === null ? test : test.skip)('hundreds in one turn, both families mixed, in order and whole', async () => {
    const { sockets, port, got, receive } = server();
    const four = await client('127.0.0.1');
    const six = await client('::1');
    const heard: Record<string, string[]> = { four: [], six: [] };
    four.on('message', (message) => heard['four']!.push(String(message)));
    six.on('message', (message) => heard['six']!.push(String(message)));
    const expected: string[] = [];
    for (let i = 0; i < 150; i++) {
      const text = `${i} `.repeat(1 + ((i * 37) % 40));
      expected.push(text);
      for (const socket of [four, six]) {
        send(sockets, text, endpointOf(parseIp(socket.address().address)!, socket.address().port));
      }
    }
    sockets.flush();
    while (heard['four']!.length + heard['six']!.length < 300) await new Promise((resolve) => setImmediate(resolve));
    expect(heard).toEqual({ four: expected, six: expected });
    expect(sockets.sendFailures).toBe(0);
    for (const text of expected) four.send(text, port, '127.0.0.1');
    await receive(150);
    expect(got.map(({ text }) => text)).toEqual(expected);
    // One sender is one Endpoint: none is made for each datagram.
    expect(new Set(got.map(({ from }) => from)).size).toBe(1);
  });

  test.each([true, false])('datagrams of one size in a row, kernel cuts and joins: %s', async (offload) => {
    const there = server(offload);
    const here = server(offload);
    const to = endpointOf(parseIp('127.0.0.1')!, there.port);
    const expected: string[] = [];
    // Rows that end with a shorter one, a longer one, another way's, or at the most that one message holds.
    const rows = [
      [1400, 45, 17],
      [100, 3, 100],
      [32, 1, 1400],
      [1200, 70, 900],
      [9000, 12, 1],
    ] as const;
    for (const [size, count, last] of rows) {
      for (let i = 0; i <= count; i++) {
        const text = `${expected.length} `.padEnd(i === count ? last : size, String(i % 10));
        expected.push(text);
        send(here.sockets, text, to);
      }
    }
    here.sockets.flush();
    await there.receive(expected.length);
    expect(there.got.map(({ text }) => text)).toEqual(expected);
    expect(new Set(there.got.map(({ from }) => from)).size).toBe(1);
    expect([here.sockets.sendFailures, there.sockets.sendFailures]).toEqual([0, 0]);
  });

  rooted('on a way with a small MTU the kernel does not cut: they go in pieces' + why, () =>
    inNamespace(async () => {
      await run('ip', ['link', 'set', 'lo', 'mtu', '1280']);
      const there = server();
      const here = server();
      const to = endpointOf(parseIp('127.0.0.1')!, there.port);
      for (const round of [1, 2]) {
        for (let i = 0; i < 10; i++) send(here.sockets, `${i}`.padEnd(1400, 'x'), to);
        here.sockets.flush();
        await there.receive(10 * round);
      }
      expect(there.got.map(({ text }) => text.length)).toEqual(new Array(20).fill(1400));
      expect(here.sockets.sendFailures).toBe(0);
      for (const cleanup of cleanups.splice(0)) cleanup();
    }),
  );

  test('what cannot be sent is counted, and what is behind it is sent', async () => {
    const { sockets } = server();
    const socket = await client('127.0.0.1');
    const good = endpointOf(parseIp('127.0.0.1')!, socket.address().port);
    send(sockets, 'one', good);
    const bad = endpointOf(parseIp('255.255.255.255')!, 9);
    send(sockets, 'lost', bad);
    send(sockets, 'two', good);
    const unsent: number[] = [];
    const sender = { unsent: (length: number) => unsent.push(length) };
    for (const to of [good, bad]) sockets.commit(sockets.reserve(3), 3, to, sender);
    const heard: string[] = [];
    socket.on('message', (message) => heard.push(String(message)));
    sockets.flush();
    expect(unsent).toEqual([3]);
    while (heard.length < 3) await new Promise((resolve) => setImmediate(resolve));
    expect(heard.slice(0, 2)).toEqual(['one', 'two']);
    expect(sockets.sendFailures).toBe(2);
    expect(sockets.reserve(65_508)).toBe(-1);
    sockets.use(-1, -1);
    send(sockets, 'nowhere', good);
    expect(sockets.sendFailures).toBe(3);
  });

  test('the largest datagram, both ways', async () => {
    const { sockets, port, got, receive } = server();
    const socket = await client('127.0.0.1');
    const text = 'x'.repeat(65_507);
    socket.send(text, port, '127.0.0.1');
    await receive(1);
    expect(got[0]!.text).toBe(text);
    send(sockets, text, got[0]!.from);
    sockets.flush();
    expect(String((await once(socket, 'message'))[0])).toBe(text);
  });

  rooted('a local address that is gone is left to the system' + why, () =>
    inNamespace(async () => {
      await run('ip', ['address', 'add', '10.1.1.1/32', 'dev', 'lo']);
      const { sockets, port, got, receive } = server();
      const socket = await client('127.0.0.1');
      socket.send('hello', port, '10.1.1.1');
      await receive(1);
      await run('ip', ['address', 'delete', '10.1.1.1/32', 'dev', 'lo']);
      send(sockets, 'reply', got[0]!.from);
      sockets.flush();
      const [message, info] = (await once(socket, 'message')) as [Buffer, dgram.RemoteInfo];
      expect([String(message), info.address]).toEqual(['reply', '127.0.0.1']);
      expect(sockets.sendFailures).toBe(0);
      for (const cleanup of cleanups.splice(0)) cleanup();
    }),
  );

  rooted(
    'a better route takes over, datagrams to the old address or not, and gives back what it took' + why,
    async () => {
      const [here, there] = [await newNamespace(), await newNamespace()];
      try {
        for (const n of [1, 2]) {
          await here.ip('link', 'add', `m${n}`, 'type', 'veth', 'peer', 'name', `m${n}`, 'netns', there.path);
          for (const [space, host] of [
            [here, 1],
            [there, 2],
          ] as const) {
            await space.ip('address', 'add', `10.${n}.0.${host}/24`, 'dev', `m${n}`);
            await space.ip('link', 'set', `m${n}`, 'up');
            await space.run('sysctl', '-qw', `net.ipv4.conf.m${n}.rp_filter=0`, 'net.ipv4.conf.all.rp_filter=0');
          }
        }
        await there.ip('address', 'add', '10.9.0.5/32', 'dev', 'lo');
        await here.ip('route', 'add', '10.9.0.0/24', 'dev', 'm1', 'metric', '2');
        const socket = await there.inside(async () => client('10.9.0.5'));
        await here.inside(async () => {
          const { sockets, port, got, receive } = server();
          const answered = async (): Promise<string> => {
            socket.send('hello', port, '10.1.0.1');
            await receive(got.length + 1);
            send(sockets, 'reply', got.at(-1)!.from);
            sockets.flush();
            return ((await once(socket, 'message'))[1] as dgram.RemoteInfo).address;
          };
          const changed = async (...route: string[]): Promise<void> => {
            await run('ip', ['route', ...route]);
            sockets.reroute(got.at(-1)!.from, 0);
          };
          expect(await answered()).toBe('10.1.0.1');
          await changed('add', '10.9.0.0/24', 'dev', 'm2', 'src', '10.2.0.1', 'metric', '1');
          expect([await answered(), await answered()]).toEqual(['10.2.0.1', '10.2.0.1']);
          await changed('delete', '10.9.0.0/24', 'dev', 'm2');
          expect(await answered()).toBe('10.1.0.1');
        });
      } finally {
        here.close();
        there.close();
      }
    },
  );
});
