import net from 'node:net';
import { once } from 'node:events';
import { afterEach, describe, expect, test } from '@jest/globals';
import type { Endpoint } from '../../src/address/endpoint.js';
import type { Transport } from '../../src/device/settings.js';
import { nativeCrypto } from '../../src/noise/native.js';
import { PortableDriver } from '../../src/portable/portable.js';
import { Slab } from '../../src/slab/slab.js';
import { ipv4Packet, pairSettings } from '../support/pair.js';

/** A driver on loopback whose delivered packets can be awaited. */
class Node {
  readonly driver: PortableDriver;
  readonly packets: Uint8Array[] = [];
  #notify = () => undefined as void;

  constructor(mine: 1 | 2, options: Parameters<typeof pairSettings>[1]) {
    this.driver = new PortableDriver({
      crypto: nativeCrypto,
      mtu: 1420,
      settings: pairSettings(mine, options),
      listenOn: ['127.0.0.1'],
      deliver: (slab, offset, length) => {
        this.packets.push(slab.bytes.slice(offset, offset + length));
        this.#notify();
      },
    });
  }

  send(packet: Uint8Array): void {
    const slab = Slab.plain(4096);
    slab.bytes.set(packet);
    this.driver.packet(slab, 0, packet.length);
  }

  async delivered(count: number): Promise<Uint8Array[]> {
    while (this.packets.length < count) await new Promise<void>((resolve) => (this.#notify = resolve));
    return this.packets;
  }

  get endpoint(): Endpoint {
    return { family: 4, address: '127.0.0.1', port: this.driver.device.listenPort };
  }
}

const running: Node[] = [];
afterEach(async () => {
  for (const node of running.splice(0)) await node.driver.stop();
});

async function pair(transport: Transport): Promise<[Node, Node]> {
  const b = new Node(2, { transport });
  running.push(b);
  await b.driver.start();
  const a = new Node(1, { transport, endpoint: b.endpoint });
  running.push(a);
  await a.driver.start();
  return [a, b];
}

describe.each(['tcp', 'udp'] as const)('two portable drivers over %s', (transport) => {
  test('carry packets both ways, of every size up to the MTU', async () => {
    const [a, b] = await pair(transport);
    const sizes = [20, 21, 84, 1419, 1420];
    for (const size of sizes) a.send(ipv4Packet(1, 2, size));
    expect(await b.delivered(sizes.length)).toEqual(sizes.map((size) => ipv4Packet(1, 2, size)));
    for (const size of sizes) b.send(ipv4Packet(2, 1, size));
    expect(await a.delivered(sizes.length)).toEqual(sizes.map((size) => ipv4Packet(2, 1, size)));
    expect(a.driver.snapshot().peers[0]!.lastHandshake).toBeGreaterThan(0);
  });

  test('port, keys, endpoint and allowed IPs change under way, and nothing is dropped that can be kept', async () => {
    const [a, b] = await pair(transport);
    const exchange = async (): Promise<void> => {
      b.send(ipv4Packet(2, 1, 90));
      await a.delivered(a.packets.length + 1);
      a.send(ipv4Packet(1, 2, 100));
      await b.delivered(b.packets.length + 1);
    };
    a.send(ipv4Packet(1, 2, 100));
    await b.delivered(1);
    const before = b.driver.snapshot().peers[0]!;
    const { port } = b.endpoint;

    await b.driver.configure({ listenPort: 0, peers: [] });
    expect(b.endpoint.port).not.toBe(port);
    await expect(connected(port)).resolves.toBe(false);
    await expect(connected(b.endpoint.port)).resolves.toBe(true);
    await exchange();
    const after = b.driver.snapshot().peers[0]!;
    // The session goes on, over TCP on the very same connection.
    expect(after.lastHandshake).toBe(before.lastHandshake);
    expect(after.connections.map(({ id }) => id)).toEqual(before.connections.map(({ id }) => id));

    const { publicKey } = after;
    await b.driver.configure({ peers: [{ publicKey, replaceAllowedIps: true, allowedIps: [] }] });
    b.send(ipv4Packet(2, 1, 90));
    expect(b.driver.snapshot().drops).toMatchObject({ 'no-peer-for-destination': 1 });
    await b.driver.configure({ peers: [{ publicKey, allowedIps: before.allowedIps.map((prefix) => ({ prefix })) }] });
    await exchange();

    // Another key at one end, told to the other: new keys at once, at the port that is in use now.
    const privateKey = new Uint8Array(32).fill(9);
    await b.driver.configure({ privateKey, peers: [] });
    const theirs = a.driver.snapshot().peers[0]!;
    const successor = {
      publicKey: nativeCrypto.publicKey(privateKey),
      endpoint: b.endpoint,
      allowedIps: theirs.allowedIps.map((prefix) => ({ prefix })),
    };
    await a.driver.configure({ peers: [{ publicKey: theirs.publicKey, remove: true, allowedIps: [] }, successor] });
    a.send(ipv4Packet(1, 2, 100));
    await b.delivered(b.packets.length + 1);
  });

  test('a change of port that fails changes nothing', async () => {
    const [a, b] = await pair(transport);
    const change = b.driver.configure({ listenPort: a.endpoint.port, privateKey: null, peers: [] });
    await expect(change).rejects.toMatchObject({ code: 'port-in-use' });
    a.send(ipv4Packet(1, 2, 100));
    await b.delivered(1);
  });

  test('stop leaves no open handle and frees the port', async () => {
    const [a, b] = await pair(transport);
    a.send(ipv4Packet(1, 2, 100));
    await b.delivered(1);
    const { port } = b.endpoint;
    await b.driver.stop();
    const server = net.createServer().listen(port, '127.0.0.1');
    await once(server, 'listening');
    server.close();
    expect(b.driver.slabs.out).toBe(0);
  });
});

/** Whether somebody listens on TCP there. */
async function connected(port: number): Promise<boolean> {
  const socket = net.connect(port, '127.0.0.1');
  const outcome = await Promise.race([
    once(socket, 'connect').then(() => true),
    new Promise<boolean>((resolve) => socket.once('error', () => resolve(false))),
  ]).catch(() => false);
  socket.destroy();
  return outcome;
}

test('what no socket takes is not counted as sent', async () => {
  const a = new Node(1, { transport: 'udp', endpoint: { family: 4, address: '255.255.255.255', port: 9 } });
  running.push(a);
  await a.driver.start();
  a.send(ipv4Packet(1, 2, 100));
  const failed = (): boolean => a.driver.snapshot().drops['datagram-unsent'] !== undefined;
  while (!failed()) await new Promise((resolve) => setImmediate(resolve));
  expect(a.driver.snapshot().peers[0]!.txBytes).toBe(0);
});

test('a stranger gets no byte, whatever it sends, and is let go of in silence', async () => {
  const [, b] = await pair('tcp');
  const stranger = net.connect(b.endpoint.port, '127.0.0.1');
  const got: Buffer[] = [];
  stranger.on('data', (bytes) => got.push(bytes));
  await once(stranger, 'connect');
  stranger.write(Buffer.alloc(5000, 0xa5));
  await once(stranger, 'close');
  expect(got).toEqual([]);
  expect(b.driver.snapshot().pending).toMatchObject({ size: 0, refusals: { idle: 1 } });
}, 15_000);

test('a port in use is a plain error', async () => {
  const [, b] = await pair('tcp');
  const c = new Node(1, { listenPort: b.endpoint.port });
  await expect(c.driver.start()).rejects.toMatchObject({
    code: 'port-in-use',
    message: expect.stringContaining(String(b.endpoint.port)),
  });
});
