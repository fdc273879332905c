import { readdirSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { DeviceSettings } from '@wirestream/core/device/settings';
import type { DeviceSnapshot } from '@wirestream/core/device/snapshot';
import { nativeCrypto } from '@wirestream/core/noise/native';
import { PortableDriver } from '@wirestream/core/portable/portable';
import { Slab } from '@wirestream/core/slab/slab';
import { UapiSession } from '@wirestream/core/uapi/session';
import { peerSettings, victimSettings } from './keys.js';
import { echoReply } from './ping.js';

/**
 * The device that is attacked, in a process of its own so that what it costs can be measured: `node victim.js portable|linux tcp|udp`, asked over IPC.
 */
export interface Question {
  readonly id: number;
  readonly ask: 'measure' | 'churn' | 'stop';
  /** peers that come and go */
  readonly peers?: number;
}

export interface Measure {
  /** of the question */
  readonly id: number;
  readonly port: number;
  readonly uapi: string;
  /** user and system, µs */
  readonly cpu: number;
  /** bytes */
  readonly memory: number;
  readonly descriptors: number;
  readonly pending: number;
  readonly refusals: Readonly<Record<string, number>>;
  readonly peers: number;
}

interface Host {
  readonly port: number;
  snapshot(): Promise<DeviceSnapshot>;
  configure(settings: DeviceSettings): Promise<void>;
  stop(): Promise<void>;
}

async function portable(settings: DeviceSettings): Promise<Host> {
  const reply = Slab.plain(4096);
  const driver: PortableDriver = new PortableDriver({
    crypto: nativeCrypto,
    mtu: 1420,
    settings,
    listenOn: ['127.0.0.1'],
    deliver: (slab, offset, length) => {
      const answer = echoReply(slab.bytes.subarray(offset, offset + length));
      if (answer === null) return;
      setImmediate(() => {
        reply.bytes.set(answer, 0);
        driver.packet(reply, 0, answer.length);
      });
    },
  });
  await driver.start();
  return {
    port: driver.device.listenPort,
    snapshot: () => Promise.resolve(driver.snapshot()),
    configure: (change) => Promise.resolve(driver.configure(change)),
    stop: () => driver.stop(),
  };
}

/** A TUN whose kernel answers the pings. */
async function linux(settings: DeviceSettings): Promise<Host> {
  const { startEngine } = await import('@wirestream/core/linux/enginehost');
  const { setUpInterface } = await import('@wirestream/core/linux/interface');
  const engine = await startEngine({ name: 'wsh0', offload: true, mtu: 1420, settings });
  await setUpInterface({
    name: 'wsh0',
    addresses: [{ bytes: Uint8Array.of(10, 0, 0, 1), length: 16 }],
    mtu: 1420,
    routes: [],
  });
  return {
    port: engine.info.listenPort,
    snapshot: () => engine.snapshot(),
    configure: (change) => engine.configure(change),
    stop: () => engine.stop(),
  };
}

/** As `serveUapi` of the command does it. */
function serve(host: Host, file: string): net.Server {
  const server = net.createServer((socket) => {
    const session = new UapiSession(host, (text) => void socket.write(text));
    const run = async () => {
      for await (const chunk of socket) if (!(await session.receive(chunk as Uint8Array))) break;
      socket.destroy();
    };
    run().catch(() => socket.destroy());
  });
  return server.listen(file);
}

if (process.send !== undefined) {
  const [kind, transport] = process.argv.slice(2) as ['portable' | 'linux', 'tcp' | 'udp'];
  const host = await (kind === 'linux' ? linux : portable)(victimSettings(transport));
  const uapi = path.join(tmpdir(), `wirestream-victim-${process.pid}.sock`);
  const server = serve(host, uapi);
  const measure = async (id: number): Promise<Measure> => {
    const { user, system } = process.cpuUsage();
    const { pending, peers } = await host.snapshot();
    return {
      id,
      port: host.port,
      uapi,
      cpu: user + system,
      memory: process.memoryUsage.rss(),
      descriptors: readdirSync('/proc/self/fd').length,
      pending: pending.size,
      refusals: pending.refusals,
      peers: peers.length,
    };
  };
  /** Many peers come, change, and go again, a hundred at a time. */
  const churn = async (count: number): Promise<void> => {
    const numbers = Array.from({ length: count }, (_, i) => 1000 + i);
    for (const change of [{}, { persistentKeepalive: 25, replaceAllowedIps: true as const }, { remove: true }]) {
      for (let at = 0; at < count; at += 100)
        await host.configure({ peers: numbers.slice(at, at + 100).map((n) => peerSettings(n, change)) });
    }
  };
  process.on('message', async ({ id, ask, peers }: Question) => {
    if (ask === 'churn') await churn(peers!);
    if (ask !== 'stop') return process.send!(await measure(id));
    server.close();
    await host.stop();
    process.disconnect();
  });
  // Whoever asks is gone: nothing is left to do.
  process.on('disconnect', () => process.exit());
  process.send(await measure(0));
}
