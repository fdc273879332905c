import http from 'node:http';
import { once } from 'node:events';
import type net from 'node:net';
import { parseIp } from '../../../src/address/ip.js';
import type { Transport } from '../../../src/device/settings.js';
import { nativeCrypto } from '../../../src/noise/native.js';
import { RootlessTunnel, type RootlessOptions } from '../../../src/portable/rootless/tunnel.js';
import { pairSettings } from '../../support/pair.js';

/** What a test may say about an end; the rest is a tunnel on loopback between 10.0.0.1 and 10.0.0.2. */
export type EndOptions = Omit<Partial<RootlessOptions>, 'crypto' | 'settings' | 'addresses'>;

const running: RootlessTunnel[] = [];
const servers: http.Server[] = [];

/** Two rootless ends, the first of which dials the second. */
export async function ends(
  transport: Transport,
  first: EndOptions = {},
  second: EndOptions = {},
): Promise<[RootlessTunnel, RootlessTunnel]> {
  const b = end(2, transport, second);
  await b.start();
  const endpoint = { family: 4, address: '127.0.0.1', port: b.driver.device.listenPort } as const;
  const a = end(1, transport, first, endpoint);
  await a.start();
  return [a, b];
}

function end(
  mine: 1 | 2,
  transport: Transport,
  options: EndOptions,
  endpoint?: { family: 4; address: string; port: number },
): RootlessTunnel {
  const tunnel = new RootlessTunnel({
    crypto: nativeCrypto,
    addresses: [{ bytes: parseIp(`10.0.0.${mine}`)! }],
    listenOn: ['127.0.0.1'],
    ...options,
    settings: pairSettings(mine, endpoint === undefined ? { transport } : { transport, endpoint }),
  });
  running.push(tunnel);
  return tunnel;
}

/** A web server on loopback. @returns its port */
export async function webServer(listener: http.RequestListener): Promise<number> {
  const server = http.createServer(listener);
  servers.push(server);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return (server.address() as net.AddressInfo).port;
}

/** Closes what the functions above opened. */
export async function closeAll(): Promise<void> {
  await Promise.all(running.splice(0).map((tunnel) => tunnel.stop()));
  for (const server of servers.splice(0)) {
    server.closeAllConnections();
    server.close();
  }
}

/** Everything that a stream has to say. */
export async function drain(stream: NodeJS.ReadableStream): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}
