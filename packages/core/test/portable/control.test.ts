import dgram from 'node:dgram';
import net from 'node:net';
import { once } from 'node:events';
import { afterEach, describe, expect, test } from '@jest/globals';
import type { Endpoint } from '../../src/address/endpoint.js';
import { parseIp } from '../../src/address/ip.js';
import type { Transport } from '../../src/device/settings.js';
import { nativeCrypto } from '../../src/noise/native.js';
import { RootlessTunnel } from '../../src/portable/rootless/tunnel.js';
import { pairSettings } from '../support/pair.js';

/** Two ends on real sockets, with a gate between them that can stop datagrams: what auto does, and what a moved listener does. */

const ended: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ended.splice(0).reverse()) await end();
});

/** At 127.0.0.1, for a: what it sends is passed on to b at 127.0.0.2, from 127.0.0.3. */
class Gate {
  /** datagrams of more bytes are dropped, both ways */
  most = Infinity;
  #from: dgram.RemoteInfo | null = null;

  private constructor(readonly port: number) {}

  static async open(to: number): Promise<Gate> {
    const server = net.createServer((near) => {
      const far = net.connect({ host: '127.0.0.2', port: to, localAddress: '127.0.0.3' });
      for (const [one, other] of [
        [near, far],
        [far, near],
      ] as const) {
        one.setNoDelay(true).pipe(other);
        one.on('error', () => other.destroy()).on('close', () => other.destroy());
      }
      ended.push(() => near.destroy());
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const gate = new Gate((server.address() as net.AddressInfo).port);
    const [near, far] = [dgram.createSocket('udp4'), dgram.createSocket('udp4')];
    near.bind(gate.port, '127.0.0.1');
    far.bind(0, '127.0.0.3');
    await Promise.all([once(near, 'listening'), once(far, 'listening')]);
    near.on('message', (bytes, from) => {
      gate.#from = from;
      if (bytes.length <= gate.most) far.send(bytes, to, '127.0.0.2');
    });
    far.on('message', (bytes) => {
      if (bytes.length <= gate.most && gate.#from !== null) near.send(bytes, gate.#from.port, gate.#from.address);
    });
    ended.push(() => (near.close(), far.close(), server.close()));
    return gate;
  }
}

async function start(
  mine: 1 | 2,
  transport: Transport,
  listenOn: string,
  endpoint?: Endpoint,
): Promise<RootlessTunnel> {
  const tunnel = new RootlessTunnel({
    crypto: nativeCrypto,
    mtu: 1420,
    addresses: [{ bytes: parseIp(`10.0.0.${mine}`)! }],
    listenOn: [listenOn],
    settings: pairSettings(mine, { transport, ...(endpoint === undefined ? {} : { endpoint }) }),
  });
  ended.push(async () => tunnel.stop());
  tunnel.driver.device.probeInterval = 1_500;
  await tunnel.start();
  return tunnel;
}

const at = (port: number): Endpoint => ({ family: 4, address: '127.0.0.1', port });
const peerOf = (tunnel: RootlessTunnel) => tunnel.driver.snapshot().peers[0]!;
const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

async function auto(most = Infinity) {
  const b = await start(2, 'auto', '127.0.0.2');
  const gate = await Gate.open(b.driver.device.listenPort);
  gate.most = most;
  const a = await start(1, 'auto', '127.0.0.1', at(gate.port));
  return { a, b, gate, paths: () => [peerOf(a).path!.transport, peerOf(b).path!.transport] };
}

/** Pings five times a second until it is so. @returns how long that took, ms */
async function pingUntil(tunnel: RootlessTunnel, done: () => boolean, most: number): Promise<number> {
  const began = performance.now();
  while (!done()) {
    if (performance.now() - began > most) throw new Error(`not within ${most} ms`);
    tunnel.ping('10.0.0.2', { timeout: 5_000 }).catch(() => undefined);
    await pause(200);
  }
  return performance.now() - began;
}

describe('Transport = auto', () => {
  test('UDP blocked from the start: the first ping is answered within a second', async () => {
    const { a, paths } = await auto(-1);
    expect(await a.ping('10.0.0.2', { timeout: 5_000 })).toBeLessThanOrEqual(1_000);
    expect(paths()).toEqual(['tcp', 'tcp']);
    expect(peerOf(a).path!.reason).toBe('UDP did not answer first');
  });

  test('blocked mid-way traffic resumes within 8 s, and is back on UDP soon after that is possible', async () => {
    const { a, gate, paths } = await auto();
    await a.ping('10.0.0.2', { timeout: 5_000 });
    await pause(100);
    expect(paths()).toEqual(['udp', 'udp']);
    gate.most = -1;
    const moved = await pingUntil(a, () => paths().every((path) => path === 'tcp'), 20_000);
    const first = await a.ping('10.0.0.2', { timeout: 5_000 });
    expect(moved + first).toBeLessThanOrEqual(8_000);
    gate.most = Infinity;
    const back = await pingUntil(a, () => paths().every((path) => path === 'udp'), 20_000);
    // An interval, the three tries of a round that began before, and room.
    expect(back).toBeLessThanOrEqual(1_500 + 2_100 + 1_500);
    await a.ping('10.0.0.2', { timeout: 5_000 });
  }, 60_000);

  test('a network that drops only datagrams above 600 bytes does not fool it', async () => {
    const { a, paths } = await auto(600);
    await a.ping('10.0.0.2', { timeout: 5_000 });
    await pingUntil(a, () => paths().every((path) => path === 'tcp'), 8_000);
    await a.ping('10.0.0.2', { size: 1_300, timeout: 5_000 });
    await pause(4_000);
    expect(paths()).toEqual(['tcp', 'tcp']);
  }, 60_000);
});

describe('a listener that moves', () => {
  test('pings at 5/s over TCP: none is lost, though the connection is cut and the configured port refuses', async () => {
    const b = await start(2, 'tcp', '127.0.0.1');
    const before = b.driver.device.listenPort;
    const a = await start(1, 'tcp', '127.0.0.1', at(before));
    await a.ping('10.0.0.2', { timeout: 5_000 });
    const pings: Promise<number>[] = [];
    const timer = setInterval(() => pings.push(a.ping('10.0.0.2', { timeout: 5_000 })), 200);
    ended.push(() => clearInterval(timer));
    await pause(500);
    await b.configure({ listenPort: 0, peers: [] });
    const now = b.driver.device.listenPort;
    expect(now).not.toBe(before);
    while (peerOf(a).announced?.tcpPort !== now) await pause(10);
    await pause(500);
    await Promise.all(pings);
    // Nothing is on its way.
    const active = a.driver.device.peers.values().next().value!.links.active!;
    a.driver.run((at) => {
      a.driver.close(active, true);
      a.driver.device.closed(at, active, 'reset');
    });
    while (peerOf(a).connections.find((connection) => connection.active)?.remote.port !== now) await pause(10);
    await pause(500);
    clearInterval(timer);
    await expect(Promise.all(pings)).resolves.toHaveLength(pings.length);
    expect(pings.length).toBeGreaterThan(6);
    expect(peerOf(a).endpoint!.port).toBe(before);
  });
});
