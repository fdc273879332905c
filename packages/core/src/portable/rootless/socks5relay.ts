import dgram from 'node:dgram';
import { once } from 'node:events';
import type net from 'node:net';
import { formatIp } from '../../address/ip.js';
import { formatHostPort } from '../../userspace/forward.js';
import { readDatagram, reply, Reply, writeDatagram } from '../../userspace/socks5.js';
import type { UdpFlow } from '../../userspace/udp/flow.js';
import type { RootlessTunnel } from './tunnel.js';

/** Destinations that one association may have flows to at a time. */
const FLOWS_MAX = 256;

/**
 * UDP ASSOCIATE (RFC 1928 §7): a UDP socket of the client's own, as long as its TCP connection lasts. It answers only to the first
 * sender from the client's address.
 */
export function associate(tunnel: RootlessTunnel, control: net.Socket): void {
  control.on('error', () => undefined);
  const local = plain(control.localAddress ?? '');
  const client = plain(control.remoteAddress ?? '');
  const relay = dgram.createSocket(local.includes(':') ? 'udp6' : 'udp4');
  const flows = new Map<string, UdpFlow>();
  let sender: dgram.RemoteInfo | null = null;

  const close = () => {
    tunnel.run(() => {
      for (const flow of [...flows.values()]) tunnel.stack.udp.remove(flow);
    });
    relay.close();
  };
  relay.on('error', () => control.destroy());
  control.once('close', close);

  const answer = (flow: UdpFlow, bytes: Uint8Array) => {
    const source = { host: formatIp(flow.remote), port: flow.remotePort };
    if (sender !== null) relay.send(writeDatagram(source, bytes), sender.port, sender.address, () => undefined);
  };

  const forward = (address: Uint8Array, port: number, data: Uint8Array) =>
    tunnel.run((now) => {
      const key = formatHostPort({ host: formatIp(address), port });
      const flow = flows.get(key) ?? open(now, address, port, key);
      if (flow !== null) tunnel.stack.udp.datagram(now, flow, data);
    });

  const open = (now: number, address: Uint8Array, port: number, key: string): UdpFlow | null => {
    const source = tunnel.stack.sourceFor(address);
    if (source === null || flows.size >= FLOWS_MAX) return null;
    const flow = tunnel.stack.udp.open(now, source, address, port, {
      send: (bytes) => answer(flow as UdpFlow, bytes),
      close: () => void flows.delete(key),
    });
    if (typeof flow === 'string') return null;
    flows.set(key, flow);
    return flow;
  };

  relay.on('message', (bytes, from) => {
    if (plain(from.address) !== client) return;
    sender ??= from;
    if (from.port !== sender.port) return;
    const datagram = readDatagram(bytes);
    if (datagram === null) return;
    const { host, port } = datagram.destination;
    if (port > 0)
      tunnel.resolve(host).then(
        (address) => forward(address, port, datagram.data),
        () => undefined,
      );
  });

  relay.bind(0, local);
  once(relay, 'listening').then(
    () => {
      control.write(reply(Reply.succeeded, { host: local, port: relay.address().port }));
      control.once('end', () => control.destroy());
      control.resume();
    },
    () => control.end(reply(Reply.failure)),
  );
}

/** An address without zone, and IPv4 as IPv4. */
function plain(address: string): string {
  return address.replace(/^::ffff:/, '').split('%')[0]!;
}
