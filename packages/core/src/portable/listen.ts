import dgram from 'node:dgram';
import net from 'node:net';
import { once } from 'node:events';
import { getSystemErrorName } from 'node:util';
import { endpointOf, type Endpoint } from '../address/endpoint.js';
import { parseIp } from '../address/ip.js';
import { WirestreamError } from '../device/errors.js';
import type { DatagramBatches } from './datagrambatches.js';

/** TCP and UDP on one port, IPv4 and IPv6. */
export interface Listeners {
  readonly port: number;
  /** Sends a datagram from the listening port. @param failed called, at once or later, when that cannot be done */
  send(bytes: Uint8Array, to: Endpoint, failed: () => void): void;
  close(): Promise<void>;
}

export interface ListenEvents {
  accepted(socket: net.Socket): void;
  datagram(bytes: Uint8Array, from: Endpoint): void;
  /** there may be more at this descriptor, which the taker reads by itself */
  burst(fd: number): void;
}

/** Tries at finding a port that is free everywhere, when the system may choose. */
const CHOICES = 20;
/** Of UDP sockets, bytes; the system gives as much of it as it allows (Linux: net.core.rmem_max). */
const UDP_BUFFER = 4 << 20;
/** Errors that mean that this machine has no such address family; the other one will do. */
const NO_FAMILY = new Set(['EAFNOSUPPORT', 'EADDRNOTAVAIL', 'EPROTONOSUPPORT']);

/**
 * Listens on TCP and UDP at `port` of each address (0: one that is free on all of them).
 * @param batches opens the UDP sockets, and sends from them, when given
 * @throws WirestreamError 'port-in-use', 'listen-failed'
 */
export async function listen(
  port: number,
  addresses: readonly string[],
  events: ListenEvents,
  batches: DatagramBatches | null = null,
): Promise<Listeners> {
  for (let tries = 1; ; tries++) {
    const opened: (net.Server | dgram.Socket)[] = [];
    try {
      return await open(port, addresses, events, opened, batches);
    } catch (error) {
      await Promise.all(opened.map(close));
      const { code, message } = error as NodeJS.ErrnoException;
      if (code === 'EADDRINUSE' && port === 0 && tries < CHOICES) continue;
      if (code === 'EADDRINUSE') {
        throw new WirestreamError(
          'port-in-use',
          `port ${port} is in use`,
          'choose another ListenPort, or stop what listens there',
        );
      }
      throw new WirestreamError('listen-failed', `cannot listen on port ${port}: ${message}`);
    }
  }
}

type Found = (error: Error | null, address: string, family: number) => void;

/** All destinations are addresses: there is nothing to look up, nor to wait for. */
function noLookup(host: string, _family: unknown, found: Found): void {
  found(null, host, host.includes(':') ? 6 : 4);
}

async function open(
  wanted: number,
  addresses: readonly string[],
  events: ListenEvents,
  opened: (net.Server | dgram.Socket)[],
  batches: DatagramBatches | null,
): Promise<Listeners> {
  const udp = new Map<number, dgram.Socket>();
  const descriptors = new Map<number, number>();
  let port = wanted;
  for (const address of addresses) {
    const family = address.includes(':') ? 6 : 4;
    const server = net.createServer({ allowHalfOpen: true }, events.accepted);
    const socket = dgram.createSocket({
      type: family === 4 ? 'udp4' : 'udp6',
      ipv6Only: family === 6,
      recvBufferSize: UDP_BUFFER,
      sendBufferSize: UDP_BUFFER,
      lookup: noLookup,
    });
    try {
      server.listen({ host: address, port, ipv6Only: family === 6 });
      await once(server, 'listening');
      opened.push(server);
      port = (server.address() as net.AddressInfo).port;
      const bound = once(socket, 'listening');
      const fd = batches === null ? -1 : opensAt(batches, family, port, address);
      if (fd < 0) socket.bind(port, address);
      else socket.bind({ fd });
      await bound;
      opened.push(socket);
      if (!udp.has(family)) descriptors.set(family, fd);
      hear(socket, fd, events);
    } catch (error) {
      if (!opened.includes(server)) server.close();
      socket.close();
      if (NO_FAMILY.has((error as NodeJS.ErrnoException).code ?? '') && addresses.length > 1) continue;
      throw error;
    }
    server.on('error', () => undefined);
    socket.on('error', () => undefined);
    if (!udp.has(family)) udp.set(family, socket);
  }
  if (opened.length === 0) throw new Error('no address family available');
  batches?.use(descriptors.get(4) ?? -1, descriptors.get(6) ?? -1);
  return {
    port,
    send: (bytes, to, failed) => {
      const socket = udp.get(to.family);
      const address = to.scope === undefined ? to.address : `${to.address}%${to.scope}`;
      if (socket === undefined) failed();
      else socket.send(bytes, to.port, address, (error) => error !== null && failed());
    },
    close: async () => {
      await Promise.all(opened.map(close));
    },
  };
}

/** @throws as `bind` of node:dgram says it */
function opensAt(batches: DatagramBatches, family: 4 | 6, port: number, address: string): number {
  const fd = batches.open(family, port, address);
  if (fd >= 0) return fd;
  const code = getSystemErrorName(fd);
  throw Object.assign(new Error(`bind ${code} ${address}:${port}`), { code });
}

/** Datagrams of a burst come from one sender mostly, whose endpoint is then made once. @param fd -1: nobody reads it but node:dgram */
function hear(socket: dgram.Socket, fd: number, events: ListenEvents): void {
  let last: { address: string; endpoint: Endpoint } | null = null;
  socket.on('message', (bytes, { address, port }) => {
    if (last === null || last.address !== address || last.endpoint.port !== port) {
      last = { address, endpoint: endpointOf(parseIp(address.split('%')[0]!)!, port) };
    }
    events.datagram(bytes, last.endpoint);
    if (fd >= 0) events.burst(fd);
  });
}

async function close(opened: net.Server | dgram.Socket): Promise<void> {
  const closed = once(opened, 'close');
  opened.close();
  await closed;
}
