import dgram from 'node:dgram';
import net from 'node:net';
import { once } from 'node:events';
import { endpointOf, type Endpoint } from '../address/endpoint.js';
import { parseIp } from '../address/ip.js';
import { WirestreamError } from '../device/errors.js';

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
}

/** Tries at finding a port that is free everywhere, when the system may choose. */
const CHOICES = 20;
/** Of UDP sockets, bytes; the system gives as much of it as it allows (Linux: net.core.rmem_max). */
const UDP_BUFFER = 4 << 20;
/** Errors that mean that this machine has no such address family; the other one will do. */
const NO_FAMILY = new Set(['EAFNOSUPPORT', 'EADDRNOTAVAIL', 'EPROTONOSUPPORT']);

/**
 * Listens on TCP and UDP at `port` of each address (0: one that is free on all of them).
 * @throws WirestreamError 'port-in-use', 'listen-failed'
 */
export async function listen(port: number, addresses: readonly string[], events: ListenEvents): Promise<Listeners> {
  for (let tries = 1; ; tries++) {
    const opened: (net.Server | dgram.Socket)[] = [];
    try {
      return await open(port, addresses, events, opened);
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
): Promise<Listeners> {
  const udp = new Map<number, dgram.Socket>();
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
      socket.bind(port, address);
      await bound;
      opened.push(socket);
    } catch (error) {
      if (!opened.includes(server)) server.close();
      socket.close();
      if (NO_FAMILY.has((error as NodeJS.ErrnoException).code ?? '') && addresses.length > 1) continue;
      throw error;
    }
    server.on('error', () => undefined);
    socket.on('error', () => undefined);
    socket.on('message', (bytes, { address: from, port: fromPort }) => {
      events.datagram(bytes, endpointOf(parseIp(from.split('%')[0]!)!, fromPort));
    });
    if (!udp.has(family)) udp.set(family, socket);
  }
  if (opened.length === 0) throw new Error('no address family available');
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

async function close(opened: net.Server | dgram.Socket): Promise<void> {
  const closed = once(opened, 'close');
  opened.close();
  await closed;
}
