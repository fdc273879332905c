import { afterEach, describe, expect, test } from '@jest/globals';
import { readdirSync } from 'node:fs';
import { parseEndpoint } from '../../src/address/endpoint.js';
import { parsePrefix } from '../../src/address/ip.js';
import type { DeviceSettings, Transport } from '../../src/device/settings.js';
import { Engine } from '../../src/linux/engine.js';
import { evpCrypto } from '../../src/linux/choosecrypto.js';
import { closeListening, openListening } from '../../src/linux/listen.js';
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
    for (const i of [0, 1]) this.engines.push(await this.#start(i, settings(i), offload));
    this.#loop = this.#turns();
  }

  /** Ends an engine as a crash would, as far as the other end can tell, and starts another one in its place. */
  async replace(i: number, settings: Partial<DeviceSettings>): Promise<void> {
    this.#running = false;
    await this.#loop;
    await this.spaces[i]!.ip('link', 'set', 'veth0', 'down');
    this.engines[i]!.stop();
    await this.spaces[i]!.ip('link', 'set', 'veth0', 'up');
    this.engines[i] = await this.#start(i, settings, true);
    this.#running = true;
    this.#loop = this.#turns();
  }

  async #start(i: number, settings: Partial<DeviceSettings>, offload: boolean): Promise<Engine> {
    return this.spaces[i]!.inside(async () => {
      const tun = openTun({ name: 'wst0', offload });
      const engine = new Engine({ tun, crypto: evpCrypto, mtu: MTU });
      engine.configure({ privateKey: keys[i]!, listenPort: PORT, peers: [], ...settings });
      await setUpInterface({
        name: 'wst0',
        addresses: ['10.5.0.', 'fd05::'].map((net) => {
          const bytes = parsePrefix(`${net}${i + 1}`)!.bytes;
          return { bytes, length: bytes.length === 4 ? 24 : 64 };
        }),
        mtu: MTU,
        routes: [],
      });
      return engine;
    });
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
      await ping(space, `10.5.0.${other}`);
      await ping(space, `fd05::${other}`, '-s', '1300');
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

  rooted('a packet that no peer takes is answered: the host is unreachable' + why, async () => {
    const pair = await Pair.make(4);
    await pair.up((i) => ({ ...settingsFor(4, 'tcp')(i), peers: [] }), true);
    for (const target of ['10.5.0.2', 'fd05::2']) {
      const failed = await ping(pair.spaces[0], target, '-i', '0.2', '-w', '2').catch(
        (error: { stdout: string }) => error,
      );
      expect(failed.stdout).toMatch(/Destination Host Unreachable|Address unreachable/);
    }
    expect(pair.engines[0]!.snapshot().drops['no-peer-for-destination']).toBeGreaterThanOrEqual(2);
  });

  rooted('a path that is gone for a while, and one that moves to another address' + why, async () => {
    const pair = await Pair.make(4);
    await pair.up(settingsFor(4, 'tcp'), true);
    const [a] = pair.spaces;
    const stream = () => pair.engines[0]!.snapshot().peers[0]!.connections;
    await ping(a, '10.5.0.2');
    const before = stream()[0]!;
    await a.ip('link', 'set', 'veth0', 'down');
    await expect(ping(a, '10.5.0.2', '-w', '1')).rejects.toThrow();
    await a.ip('link', 'set', 'veth0', 'up');
    // The address came back with the link: a new connection is dialled beside the old one, and takes over.
    await ping(a, '10.5.0.2');
    await until(() => stream().some(({ id, active }) => active && id > before.id));
    await a.ip('address', 'delete', '192.168.77.1/24', 'dev', 'veth0');
    await a.ip('address', 'add', '192.168.77.9/24', 'dev', 'veth0');
    await ping(a, '10.5.0.2');
    await until(() => stream().some(({ local, active }) => active && local?.address === '192.168.77.9'));
  });

  rooted('the other end vanishes without a word and comes back without keys' + why, async () => {
    const pair = await Pair.make(4);
    await pair.up(settingsFor(4, 'tcp', true), true);
    const [a, b] = pair.spaces;
    await ping(a, '10.5.0.2');
    await pair.replace(1, settingsFor(4, 'tcp', true)(1));
    await ping(b, '10.5.0.1');
    await ping(a, '10.5.0.2');
  });

  rooted('ports and marks change while it runs; a port in use changes nothing' + why, async () => {
    const pair = await Pair.make(4);
    await pair.up(settingsFor(4, 'tcp'), true);
    const [a, b] = pair.spaces;
    const [first, second] = pair.engines as [Engine, Engine];
    await ping(a, '10.5.0.2');
    const configure = (engine: Engine, i: number, change: Partial<DeviceSettings>): void => {
      pair.spaces[i]!.enter();
      try {
        engine.configure({ peers: [], ...change });
      } finally {
        enterNamespace(null);
      }
    };
    configure(second, 1, { listenPort: 7777, fwmark: 0x55 });
    const sockets = (await b.run('ss', '-Hlntu')).stdout;
    expect(sockets.match(/:7777\b/g)).toHaveLength(4);
    expect(sockets).not.toContain(':51820');
    expect(second.snapshot()).toMatchObject({ listenPort: 7777, fwmark: 0x55 });
    // The connection that was there goes on; a new one finds the new port.
    await ping(a, '10.5.0.2');
    const endpoint = parseEndpoint(`${outer(4, 1)}:7777`)!;
    configure(first, 0, { peers: [{ publicKey: publicKeys[1]!, endpoint, allowedIps: [] }] });
    await ping(a, '10.5.0.2');
    await until(() => first.snapshot().peers[0]!.connections.some((c) => c.active && c.remote.port === 7777));

    const taken = await b.inside(async () => openListening({ port: 8888, tcp: true, udp: false }));
    expect(() => configure(second, 1, { listenPort: 8888, fwmark: 1 })).toThrow('port 8888 is already in use');
    expect(second.snapshot()).toMatchObject({ listenPort: 7777, fwmark: 0x55 });
    await ping(a, '10.5.0.2');
    closeListening(taken);
    configure(second, 1, { listenPort: 0 });
    expect(second.snapshot().listenPort).not.toBe(7777);
    expect(second.snapshot().listenPort).toBeGreaterThan(1023);
  });

  rooted('strangers get nothing, and a flood of them does not end what is there' + why, async () => {
    const pair = await Pair.make(4);
    await pair.up(settingsFor(4, 'tcp'), true);
    const [a] = pair.spaces;
    await ping(a, '10.5.0.2');
    const { stdout } = await a.run(
      process.execPath,
      '-e',
      // All get in as far as TCP is concerned; 8 of one source are kept, the others are closed at once.
      `let data = 0, open = 0, ended = 0;
       const look = () => { if (open === 40 && ended >= 32) { console.log(data, open); process.exit(); } };
       for (let i = 0; i < 40; i++) {
         const s = require('net').connect(${PORT}, '${outer(4, 1)}', () => { open++; s.write(Buffer.alloc(i * 100, i)); look(); });
         s.on('data', (d) => (data += d.length)).on('error', () => {}).on('close', () => { ended++; look(); });
       }`,
    );
    expect(stdout.trim()).toBe('0 40');
    await ping(a, '10.5.0.2');
    const { refusals } = pair.engines[1]!.snapshot().pending;
    expect(refusals['source-full']! + refusals['source-rate']!).toBeGreaterThanOrEqual(32);
  });

  rooted('the interface is deleted: the engine notices' + why, async () => {
    const pair = await Pair.make(4);
    await pair.up(settingsFor(4, 'tcp'), true);
    await pair.spaces[0].ip('link', 'delete', 'wst0');
    await until(() => pair.engines[0]!.tunGone);
  });

  rooted('both dial: still every ping arrives' + why, async () => {
    const pair = await Pair.make(4);
    await pair.up(settingsFor(4, 'tcp', true), true);
    const [a, b] = pair.spaces;
    const [one, two] = await Promise.all([ping(a, '10.5.0.2'), ping(b, '10.5.0.1')]);
    for (const { stdout } of [one, two]) expect(answered(stdout)).toEqual([1, 2, 3, 4, 5]);
    await pair.stop();
  });
});

/**
 * Sends echoes until five have come back, for 15 s at most; throws when none came back. Not `-W`: once an answer has come, ping waits two round
 * trips for the others, however long the first one took.
 */
const ping = (space: Namespace, target: string, ...more: string[]) =>
  space.run('ping', '-n', '-c', '5', '-i', '0.02', '-w', '15', ...more, target);

/** The echoes among the first five that came back; those that are under way at the end count as lost in ping's own summary. */
const answered = (output: string) => [1, 2, 3, 4, 5].filter((n) => output.includes(`icmp_seq=${n} `));

/** Waits, while the engines run on, until something is so. */
async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setImmediate(resolve));
}

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
