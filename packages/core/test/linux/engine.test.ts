import { afterEach, describe, expect, test } from '@jest/globals';
import { readdirSync } from 'node:fs';
import { parseEndpoint } from '../../src/address/endpoint.js';
import { parsePrefix } from '../../src/address/ip.js';
import type { DeviceSettings, Transport } from '../../src/device/settings.js';
import { Engine } from '../../src/linux/engine.js';
import { evpCrypto } from '../../src/linux/choosecrypto.js';
import { setUpInterface } from '../../src/linux/interface.js';
import { openTun } from '../../src/linux/tun.js';
import { enterNamespace, newNamespace, noTun, type Namespace } from './helpers.js';

const rooted = noTun === null ? test : test.skip;
const why = noTun === null ? '' : ` (SKIPPED: ${noTun})`;

const MTU = 1420;
const PORT = 51820;
const keys = [1, 2].map((seed) => new Uint8Array(32).fill(seed));
const publicKeys = keys.map((key) => evpCrypto.publicKey(key));

let current: Pair | null = null;
afterEach(() => current?.stop());

/** Two namespaces with a veth pair between them and an engine in each, driven from this thread in turns. */
class Pair {
  readonly spaces: [Namespace, Namespace];
  readonly engines: Engine[] = [];
  #running = true;
  #loop: Promise<void> = Promise.resolve();

  private constructor(spaces: [Namespace, Namespace]) {
    this.spaces = spaces;
  }

  static async make(family: 4 | 6): Promise<Pair> {
    const pair = new Pair([await newNamespace(), await newNamespace()]);
    current = pair;
    const [a, b] = pair.spaces;
    await a.ip('link', 'add', 'veth0', 'type', 'veth', 'peer', 'name', 'veth0', 'netns', b.path);
    for (const [i, space] of pair.spaces.entries()) {
      await space.ip(
        'address',
        'add',
        outer(family, i) + (family === 4 ? '/24' : '/64'),
        'dev',
        'veth0',
        ...(family === 6 ? ['nodad'] : []),
      );
      await space.ip('link', 'set', 'veth0', 'up');
    }
    return pair;
  }

  /** Brings both engines up; the first dials the second. */
  async up(settings: (i: number) => Partial<DeviceSettings>, offload: boolean): Promise<void> {
    for (const [i, space] of this.spaces.entries()) {
      await space.inside(async () => {
        const tun = openTun({ name: 'wst0', offload });
        const engine = new Engine({ tun, crypto: evpCrypto, mtu: MTU });
        this.engines.push(engine);
        engine.configure({ privateKey: keys[i]!, listenPort: PORT, peers: [], ...settings(i) });
        await setUpInterface({
          name: 'wst0',
          addresses: ['10.5.0.', 'fd05::'].map((net) => {
            const bytes = parsePrefix(`${net}${i + 1}`)!.bytes;
            return { bytes, length: bytes.length === 4 ? 24 : 64 };
          }),
          mtu: MTU,
          routes: [],
        });
      });
    }
    this.#loop = this.#turns();
  }

  async #turns(): Promise<void> {
    while (this.#running) {
      for (const [i, engine] of this.engines.entries()) {
        this.spaces[i]!.enter();
        engine.turn(0);
      }
      enterNamespace(null);
      await new Promise((resolve) => setImmediate(resolve));
    }
  }

  async stop(): Promise<void> {
    if (current !== this) return;
    current = null;
    this.#running = false;
    await this.#loop;
    for (const engine of this.engines) engine.stop();
    for (const space of this.spaces) space.close();
  }
}

function outer(family: 4 | 6, i: number): string {
  return family === 4 ? `192.168.77.${i + 1}` : `fd77::${i + 1}`;
}

function settingsFor(family: 4 | 6, transport: Transport, both = false) {
  return (i: number): Partial<DeviceSettings> => {
    const endpoint = parseEndpoint(family === 4 ? `${outer(4, 1 - i)}:${PORT}` : `[${outer(6, 1 - i)}]:${PORT}`)!;
    return {
      transport,
      peers: [
        {
          publicKey: publicKeys[1 - i]!,
          ...(i === 0 || both ? { endpoint } : {}),
          allowedIps: ['10.5.0.0/24', 'fd05::/64'].map((text) => ({ prefix: parsePrefix(text)! })),
        },
      ],
    };
  };
}

const ping = (space: Namespace, target: string, ...more: string[]) =>
  space.run('ping', '-n', '-c', '5', '-i', '0.02', '-w', '10', ...more, target);

function descriptors(): number {
  return readdirSync('/proc/self/fd').length;
}

describe('two engines in namespaces', () => {
  rooted.each([
    ['TCP over IPv4', 4, 'tcp', true],
    ['TCP over IPv6', 6, 'tcp', true],
    ['TCP over IPv4, no offload', 4, 'tcp', false],
    ['UDP over IPv4', 4, 'udp', true],
    ['UDP over IPv6', 6, 'udp', true],
  ] as const)('%s: pings both ways, a TCP transfer, and nothing left' + why, async (_, family, transport, offload) => {
    if (noTun === null) (await newNamespace()).close();
    const before = descriptors();
    const pair = await Pair.make(family);
    await pair.up(settingsFor(family, transport), offload);
    const [a, b] = pair.spaces;
    for (const [space, other] of [
      [a, 2],
      [b, 1],
    ] as const) {
      expect((await ping(space, `10.5.0.${other}`)).stdout).toContain(' 0% packet loss');
      expect((await ping(space, `fd05::${other}`, '-s', '1300')).stdout).toContain(' 0% packet loss');
    }
    expect(await transfer(pair, 3_000_000)).toBe(3_000_000);
    const [first, second] = pair.engines.map((engine) => engine.snapshot().peers[0]!);
    expect(first!.txBytes).toBeGreaterThan(3_000_000);
    expect(first!.lastHandshake).toBeGreaterThan(0);
    expect(second!.rxBytes).toBeGreaterThanOrEqual(first!.txBytes - 100_000);
    expect(first!.connections.length).toBe(transport === 'tcp' ? 1 : 0);
    await pair.stop();
    expect(descriptors()).toBe(before);
  });

  rooted('both dial: still every ping arrives' + why, async () => {
    const pair = await Pair.make(4);
    await pair.up(settingsFor(4, 'tcp', true), true);
    const [a, b] = pair.spaces;
    const [one, two] = await Promise.all([ping(a, '10.5.0.2'), ping(b, '10.5.0.1')]);
    expect(one.stdout).toContain(' 0% packet loss');
    expect(two.stdout).toContain(' 0% packet loss');
    await pair.stop();
  });
});

/** Sends bytes through the tunnel from the first namespace to the second, by plain processes. @returns how many arrived */
async function transfer(pair: Pair, bytes: number): Promise<number> {
  const [a, b] = pair.spaces;
  const server = b.run(
    process.execPath,
    '-e',
    `let n = 0;
     require('net').createServer((s) => s.on('data', (d) => (n += d.length)).on('end', () => { s.end(); console.log(n); process.exit(); }))
       .listen(7000, '10.5.0.2', () => require('fs').writeSync(2, 'ready'));`,
  );
  await new Promise((resolve) => server.child.stderr!.once('data', resolve));
  await a.run(
    process.execPath,
    '-e',
    `const s = require('net').connect(7000, '10.5.0.2'); s.end(Buffer.alloc(${bytes}, 'x')); s.resume();`,
  );
  return Number((await server).stdout);
}
