import type net from 'node:net';
import { formatIp } from '../../address/ip.js';
import type { HostPort } from '../../userspace/forward.js';
import { reply, Reply, replyFor, Socks5Server } from '../../userspace/socks5.js';
import { failureOf } from './errors.js';
import { listenTcp, type OpenForward } from './forwards.js';
import { associate } from './socks5relay.js';
import { SocketStream } from './socketstream.js';
import type { RootlessTunnel } from './tunnel.js';

/** ms for a client to say what it wants */
const REQUEST_TIMEOUT = 30_000;

/**
 * A SOCKS5 proxy on this host that leads into the tunnel: CONNECT and UDP ASSOCIATE.
 * @throws WirestreamError listen-failed
 */
export function openSocks5(tunnel: RootlessTunnel, listen: HostPort): Promise<OpenForward> {
  return listenTcp(listen, (socket) => void serve(tunnel, socket));
}

function serve(tunnel: RootlessTunnel, socket: net.Socket): void {
  const server = new Socks5Server();
  const timer = setTimeout(() => socket.destroy(), REQUEST_TIMEOUT);
  const stop = () => {
    clearTimeout(timer);
    socket.off('data', onData).off('end', onGone).off('close', onGone).off('error', onGone);
    socket.pause();
  };
  const onGone = () => {
    stop();
    socket.on('error', () => undefined);
    socket.destroy();
  };
  const onData = (bytes: Buffer) => {
    const step = server.feed(bytes);
    if (step.answer !== null) socket.write(step.answer);
    if (step.isOver) {
      stop();
      socket.on('error', () => undefined);
      socket.end();
      socket.destroySoon();
    } else if (step.request !== null) {
      stop();
      const { command, destination } = step.request;
      if (command === 'associate') associate(tunnel, socket);
      else connect(tunnel, socket, destination, server.rest);
    }
  };
  socket.on('data', onData).on('end', onGone).on('close', onGone).on('error', onGone);
  socket.resume();
}

/** CONNECT: the reply goes out when the inner connection is up, or has failed. */
function connect(tunnel: RootlessTunnel, socket: net.Socket, { host, port }: HostPort, rest: Uint8Array): void {
  if (rest.length > 0) socket.unshift(rest);
  let local: HostPort = { host: '0.0.0.0', port: 0 };
  const stream = new SocketStream(tunnel, socket, {
    established: () => socket.write(reply(Reply.succeeded, local)),
    failed: (failure) => {
      socket.end(replyFor(failure));
      socket.destroySoon();
    },
  });
  tunnel.resolve(host).then(
    (address) => {
      if (socket.destroyed) return;
      tunnel.dial(address, port, stream, (flow) => {
        local = { host: formatIp(flow.local), port: flow.localPort };
        stream.attach(flow);
      });
    },
    (error) => stream.failed(failureOf(error as NodeJS.ErrnoException)),
  );
}
