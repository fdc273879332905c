import { once } from 'node:events';
import net from 'node:net';
import { WirestreamError } from '../../device/errors.js';
import { formatHostPort, type Forward, type HostPort } from '../../userspace/forward.js';
import { SocketStream } from './socketstream.js';
import { openDatagramForward } from './datagramforward.js';
import type { RootlessTunnel } from './tunnel.js';

/** Something of this host's that listens for the tunnel. */
export interface OpenForward {
  /** with the port that the system chose */
  readonly listen: HostPort;
  close(): Promise<void>;
}

/**
 * Listens on a port of this host, and leads what comes in to a destination inside the tunnel.
 * @throws WirestreamError listen-failed
 */
export function openForward(tunnel: RootlessTunnel, forward: Forward): Promise<OpenForward> {
  return forward.protocol === 'tcp' ? openStreamForward(tunnel, forward) : openDatagramForward(tunnel, forward);
}

async function openStreamForward(tunnel: RootlessTunnel, forward: Forward): Promise<OpenForward> {
  const { host, port } = forward.destination;
  return listenTcp(forward.listen, (socket) => {
    const stream = new SocketStream(tunnel, socket);
    tunnel.resolve(host).then(
      (address) => {
        if (!socket.destroyed) tunnel.dial(address, port, stream, (flow) => stream.attach(flow));
      },
      () => stream.failed('unreachable'),
    );
  });
}

/** A TCP listener whose sockets begin paused and may be half closed. */
export async function listenTcp(listen: HostPort, accept: (socket: net.Socket) => void): Promise<OpenForward> {
  const sockets = new Set<net.Socket>();
  const server = net.createServer({ allowHalfOpen: true, pauseOnConnect: true, noDelay: true }, (socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
    accept(socket);
  });
  server.listen({ port: listen.port, ...(listen.host === '*' ? {} : { host: listen.host }) });
  try {
    await once(server, 'listening');
  } catch (error) {
    throw listenFailed(listen, error);
  }
  server.on('error', () => undefined);
  return {
    listen: { host: listen.host, port: (server.address() as net.AddressInfo).port },
    close: async () => {
      const closed = once(server, 'close');
      server.close();
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}

export function listenFailed(listen: HostPort, error: unknown): WirestreamError {
  const { code, message } = error as NodeJS.ErrnoException;
  const reasons: Record<string, string> = {
    EADDRINUSE: 'the port is in use',
    EADDRNOTAVAIL: 'this host does not have the address',
    EACCES: 'ports below 1024 need privileges',
  };
  return new WirestreamError(
    'listen-failed',
    `cannot listen on ${formatHostPort(listen)}: ${reasons[code ?? ''] ?? message}`,
    'choose another port or address',
  );
}
