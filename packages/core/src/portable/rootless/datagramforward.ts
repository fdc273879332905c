import dgram from 'node:dgram';
import { once } from 'node:events';
import { formatHostPort, type Forward } from '../../userspace/forward.js';
import type { NativeDatagrams } from '../../userspace/native.js';
import type { UdpFlow } from '../../userspace/udp/flow.js';
import { listenFailed, type OpenForward } from './forwards.js';
import type { RootlessTunnel } from './tunnel.js';

/** Senders that one forward keeps apart. */
const SENDERS_MAX = 1_024;

/** Leads datagrams to a local port into the tunnel, each sender over a flow of its own, and the answers back. */
export async function openDatagramForward(tunnel: RootlessTunnel, forward: Forward): Promise<OpenForward> {
  const { listen, destination } = forward;
  const host = listen.host === '*' ? '::' : listen.host;
  const socket = dgram.createSocket({ type: host.includes(':') ? 'udp6' : 'udp4' });
  socket.bind(listen.port, host);
  try {
    await once(socket, 'listening');
  } catch (error) {
    socket.close();
    throw listenFailed(listen, error);
  }
  socket.on('error', () => undefined);
  const flows = new Map<string, UdpFlow>();
  let address: Uint8Array | null = null;

  const open = (now: number, to: Uint8Array, from: dgram.RemoteInfo, key: string): UdpFlow | null => {
    const source = tunnel.stack.sourceFor(to);
    if (source === null || flows.size >= SENDERS_MAX) return null;
    const native: NativeDatagrams = {
      send: (bytes) => socket.send(Buffer.from(bytes), from.port, from.address, () => undefined),
      close: () => void flows.delete(key),
    };
    const flow = tunnel.stack.udp.open(now, source, to, destination.port, native);
    if (typeof flow === 'string') return null;
    flows.set(key, flow);
    return flow;
  };

  const forwardOne = (to: Uint8Array, bytes: Buffer, from: dgram.RemoteInfo) =>
    tunnel.run((now) => {
      const key = formatHostPort({ host: from.address, port: from.port });
      const flow = flows.get(key) ?? open(now, to, from, key);
      if (flow !== null) tunnel.stack.udp.datagram(now, flow, bytes);
    });

  socket.on('message', (bytes, from) => {
    if (address !== null) return forwardOne(address, bytes, from);
    // The first datagrams wait for the name; those whose name is unknown are lost, as datagrams are.
    tunnel.resolve(destination.host).then(
      (found) => {
        address = found;
        forwardOne(found, bytes, from);
      },
      () => undefined,
    );
  });

  return {
    listen: { host: listen.host, port: socket.address().port },
    close: async () => {
      const closed = once(socket, 'close');
      socket.close();
      await closed;
    },
  };
}
