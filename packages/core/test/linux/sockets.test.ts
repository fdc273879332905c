import { afterEach, describe, expect, test } from '@jest/globals';
import dgram from 'node:dgram';
import { once } from 'node:events';
import net from 'node:net';
import koffi from 'koffi';
import { parseEndpoint, type Endpoint } from '../../src/address/endpoint.js';
import { Epoll, EPOLLIN, EPOLLOUT } from '../../src/linux/epoll.js';
import { EADDRINUSE, EAGAIN, ECONNREFUSED, EINVAL, ENETUNREACH } from '../../src/linux/errno.js';
import { closeListening, openListening } from '../../src/linux/listen.js';
import { nativeSlab } from '../../src/linux/nativeslab.js';
import { pendingError, tcpInfo } from '../../src/linux/sockopts.js';
import {
  acceptedFrom,
  acceptTcp,
  bindUdp,
  closeReasonOf,
  connectTcp,
  listenTcp,
  localEndpoint,
  shutdownWrite,
} from '../../src/linux/sockets.js';
import { close, recv, send } from '../../src/linux/syscalls.js';
import { noIpv6 } from './helpers.js';

const getsockopt = koffi
  .load(null)
  .func('int getsockopt(int fd, int level, int name, uintptr_t value, uintptr_t length)');
const slab = nativeSlab(4096);
const fds: number[] = [];
afterEach(() => {
  for (const fd of fds.splice(0)) close(fd);
});
const keep = (fd: number): number => {
  expect(fd).toBeGreaterThanOrEqual(0);
  fds.push(fd);
  return fd;
};

/** Waits, without blocking Node, until `fd` is ready. */
async function ready(fd: number, events: number): Promise<void> {
  const epoll = new Epoll(1);
  epoll.add(fd, events, 0);
  while (epoll.wait(0) === 0) await new Promise((resolve) => setImmediate(resolve));
  epoll.close();
}

/** A connection of our own making: the accepted end and the dialled one. */
async function connected(address: string): Promise<{ server: number; client: number; local: Endpoint }> {
  const family = address.includes(':') ? 6 : 4;
  const listener = keep(listenTcp(family, 0, 0, address));
  const local = localEndpoint(listener)!;
  const client = keep(connectTcp({ family, address, port: local.port }));
  await ready(listener, EPOLLIN);
  const server = keep(acceptTcp(listener));
  await ready(client, EPOLLOUT);
  expect(pendingError(client)).toBe(0);
  return { server, client, local };
}

describe('TCP', () => {
  const families = noIpv6 === null ? ['127.0.0.1', '::1'] : ['127.0.0.1'];
  test.each(families)('dial and accept on %s: both ends know both addresses', async (address) => {
    const { server, client, local } = await connected(address);
    expect(acceptedFrom).toEqual(localEndpoint(client));
    expect(localEndpoint(server)).toEqual(local);
    slab.bytes.set([1, 2, 3]);
    expect(send(client, slab, 0, 3)).toBe(3);
    await ready(server, EPOLLIN);
    expect(recv(server, slab, 10, 100)).toBe(3);
    expect(recv(server, slab, 10, 100)).toBe(-EAGAIN);
    expect(shutdownWrite(client)).toBe(0);
    await ready(server, EPOLLIN);
    expect(recv(server, slab, 10, 100)).toBe(0);
    expect(send(server, slab, 0, 3)).toBe(3);
    await ready(client, EPOLLIN);
    expect(recv(client, slab, 10, 100)).toBe(3);
  });

  test('nothing to accept is -EAGAIN', () => {
    const listener = keep(listenTcp(4, 0, 0, '127.0.0.1'));
    expect(acceptTcp(listener)).toBe(-EAGAIN);
    expect(acceptedFrom).toBeNull();
    expect(acceptTcp(keep(bindUdp(4, 0)))).toBeLessThan(0);
  });

  test('both ends push small writes out at once and keep little unsent', async () => {
    const { server, client } = await connected('127.0.0.1');
    // As Node's own socket sees them: TCP_NODELAY (1), TCP_USER_TIMEOUT (18), TCP_NOTSENT_LOWAT (25).
    for (const fd of [server, client]) {
      expect([option(fd, 6, 1), option(fd, 6, 18), option(fd, 6, 25)]).toEqual([1, 15_000, 32_768]);
      expect(option(fd, 1, 9)).toBe(0);
    }
  });

  test('a refused dial is told by SO_ERROR, once', async () => {
    const listener = listenTcp(4, 0, 0, '127.0.0.1');
    const { port } = localEndpoint(listener)!;
    close(listener);
    const client = connectTcp({ family: 4, address: '127.0.0.1', port });
    if (client >= 0) {
      fds.push(client);
      await ready(client, EPOLLOUT);
      expect(pendingError(client)).toBe(ECONNREFUSED);
      expect(pendingError(client)).toBe(0);
    } else {
      expect(client).toBe(-ECONNREFUSED);
    }
  });

  test('a dial that cannot begin leaves no descriptor', () => {
    const before = keep(listenTcp(4, 0));
    for (let i = 0; i < 20; i++) expect(connectTcp(parseEndpoint('255.255.255.255:9')!)).toBe(-ENETUNREACH);
    expect(listenTcp(4, 70_000 & 0xffff, 0, '203.0.113.1')).toBeLessThan(0);
    expect(keep(listenTcp(4, 0))).toBe(before + 1);
  });

  test('TCP_INFO knows the state of a connection', async () => {
    const { client } = await connected('127.0.0.1');
    const info = tcpInfo(client)!;
    expect(info.state).toBe(1);
    expect(info.sendMss).toBeGreaterThan(500);
    expect(info.congestionWindow).toBeGreaterThan(0);
    expect(info.rttUs).toBeGreaterThan(0);
    expect(info.notSentBytes).toBe(0);
    expect(tcpInfo(keep(bindUdp(4, 0)))).toBeNull();
  });
});

describe('listening', () => {
  (noIpv6 === null ? test : test.skip)(
    'port 0: one port that TCP and UDP have in both families, reachable by each' +
      (noIpv6 === null ? '' : ` (SKIPPED: ${noIpv6})`),
    async () => {
      const listening = openListening({ port: 0, tcp: true, udp: true });
      expect(listening.port).toBeGreaterThan(0);
      for (const fd of [listening.tcp4, listening.udp4, listening.tcp6, listening.udp6]) {
        expect(localEndpoint(fd)!.port).toBe(listening.port);
      }
      for (const [address, fd] of [
        ['127.0.0.1', listening.tcp4],
        ['::1', listening.tcp6],
      ] as const) {
        const socket = net.connect(listening.port, address);
        await once(socket, 'connect');
        await ready(fd, EPOLLIN);
        close(acceptTcp(fd));
        expect(acceptedFrom).toMatchObject({ address, port: socket.localPort });
        socket.destroy();
      }
      for (const [type, address, fd] of [
        ['udp4', '127.0.0.1', listening.udp4],
        ['udp6', '::1', listening.udp6],
      ] as const) {
        const socket = dgram.createSocket(type);
        socket.send(Buffer.from('hello'), listening.port, address);
        await ready(fd, EPOLLIN);
        expect(recv(fd, slab, 0, 100)).toBe(5);
        socket.close();
      }
      closeListening(listening);
    },
  );

  test('the same port again right after connections were on it', async () => {
    const first = openListening({ port: 0, tcp: true, udp: true });
    const socket = net.connect(first.port, '127.0.0.1');
    await once(socket, 'connect');
    await ready(first.tcp4, EPOLLIN);
    // The end that closes first is left in TIME_WAIT: make it ours.
    close(acceptTcp(first.tcp4));
    await once(socket.resume(), 'close');
    closeListening(first);
    const again = openListening({ port: first.port, tcp: true, udp: true });
    expect(again.port).toBe(first.port);
    closeListening(again);
  });

  test.each([
    ['TCP', { tcp: true, udp: false }],
    ['UDP', { tcp: false, udp: true }],
  ])('a %s port in use is said so, and nothing stays open', (_, kind) => {
    const first = openListening({ port: 0, ...kind });
    const failure = (): unknown => {
      try {
        closeListening(openListening({ port: first.port, tcp: true, udp: true }));
        return null;
      } catch (error) {
        return error;
      }
    };
    expect(failure()).toMatchObject({ name: 'WirestreamError', code: 'port-in-use' });
    expect(String(failure())).toContain(`port ${first.port} is already in use`);
    expect((failure() as { hint: string }).hint).toContain('ListenPort');
    closeListening(first);
    expect(failure()).toBeNull();
  });

  test('without TCP or UDP those are not opened', () => {
    const listening = openListening({ port: 0, tcp: true, udp: false });
    expect([listening.udp4, listening.udp6]).toEqual([-1, -1]);
    closeListening(listening);
  });
});

test.each([
  [EINVAL, 'error'],
  [104, 'reset'],
  [-32, 'reset'],
  [111, 'refused'],
  [113, 'refused'],
  [110, 'timeout'],
  [EADDRINUSE, 'error'],
])('error %i ends a connection as %s', (error, reason) => expect(closeReasonOf(error)).toBe(reason));

/** A 32-bit option, read back with nothing of the code under test. */
function option(fd: number, level: number, name: number): number {
  const length = 8;
  slab.view.setUint32(0, 4, true);
  getsockopt(fd, level, name, slab.at(length, 4), slab.at(0, 4));
  return slab.view.getInt32(length, true);
}
