import { once } from 'node:events';
import { spawn } from 'node:child_process';
import net from 'node:net';
import { parsePrefix } from '@wirestream/core/address/ip';
import { parseConfig } from '@wirestream/core/config/parse';
import { toDeviceSettings } from '@wirestream/core/config/settings';
import type { Transport } from '@wirestream/core/device/settings';
import type { RootlessTunnel } from '@wirestream/core/portable/rootless/tunnel';
import type { EngineHost } from '@wirestream/core/linux/enginehost';
import type { Rng } from '../campaign/mutate.js';
import { must, mustEqual } from '../target.js';
import { administrate, compareAbilities, moveAway, takeAway } from './administrator.js';
import { alone, exchange, exchangeDatagrams, pinged } from './exchange.js';
import type { AtOnce } from './run.js';
import { openServices, type Services } from './services.js';
import { Watch } from './watch.js';
import { Wire } from './wire.js';
import { configText, openThere, PORT } from './world.js';

/** Programs that know nothing of a tunnel, on a host whose kernel sends their packets into one. */
interface Host {
  readonly engine: EngineHost;
  readonly there: RootlessTunnel;
  readonly services: Services;
}

type Conversation = (host: Host, rng: Rng) => Promise<void>;

const NAME = 'wsflows0';
const OTHER = '10.0.0.2';
/** Goes into the tunnel, and no peer has it. */
const NOBODYS = '10.0.0.77';

const open = (port: number, host = OTHER) => net.connect({ port, host, allowHalfOpen: true });

async function fate(socket: net.Socket): Promise<string> {
  return new Promise((resolve) => {
    socket.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
    socket.once('close', () => resolve('end'));
  });
}

const CONVERSATIONS: Readonly<Record<string, Conversation>> = {
  'a service of the other host': ({ services }, rng) => exchange(open(rng.pick([services.echo, PORT.outside])), rng),
  'a program at the other end': (_, rng) => exchange(open(PORT.inside, rng.pick([OTHER, 'fd00::2'])), rng),
  'a service of this host': async ({ there }, rng) => {
    const server = net.createServer({ allowHalfOpen: true }, (socket) => {
      socket.on('error', () => undefined);
      socket.pipe(socket);
    });
    server.listen(0, '10.0.0.1');
    await once(server, 'listening');
    await exchange(there.connect('10.0.0.1', (server.address() as net.AddressInfo).port), rng);
    server.close();
  },
  datagrams: (_, rng) => exchangeDatagrams({ host: OTHER, port: PORT.outside }, rng),
  'a closed port': async ({ services }) =>
    mustEqual(await fate(open(services.nobody)), 'ECONNREFUSED', 'a closed port'),
  'an address that no peer has': async () =>
    mustEqual(await fate(open(80, NOBODYS)), 'EHOSTUNREACH', 'what the kernel hears of it'),
  pings: ({ there }, rng) => pinged(there, '10.0.0.1', rng.below(1393)),
  'a ping of nobody': async (_, rng) => {
    const child = spawn('ping', [
      '-n',
      '-c',
      '4',
      '-i',
      '0.3',
      '-W',
      '5',
      '-s',
      String(rng.below(1393)),
      rng.pick([NOBODYS, 'fd00::77']),
    ]);
    let said = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => (said += text));
    await once(child, 'close');
    must(/unreachable/i.test(said), () => `the kernel was not told that nobody is there: ${said}`);
  },
  settings: ({ engine }, rng) =>
    alone(async () => {
      const { peers } = await engine.snapshot();
      const keepalive = rng.below(100);
      await engine.configure({
        peers: [{ publicKey: peers[0]!.publicKey, allowedIps: [], persistentKeepalive: keepalive }],
      });
      mustEqual((await engine.snapshot()).peers[0]!.persistentKeepalive, keepalive, 'a setting');
    }),
};

/** A round with the Linux driver at one end. @returns what there is to say of it */
export async function useKernel(transport: Transport, offload: boolean, rng: Rng, atOnce: AtOnce): Promise<string> {
  const { startEngine } = await import('@wirestream/core/linux/enginehost');
  const { setUpInterface } = await import('@wirestream/core/linux/interface');
  const services = await openServices();
  const there = await openThere(services, transport, true);
  there.listen(PORT.inside, (socket) => {
    socket.on('error', () => undefined);
    socket.pipe(socket);
  });
  const port = there.driver.device.listenPort;
  const wire = await Wire.begin(port);
  const { config } = parseConfig(configText(1, transport, null), { file: 'here' });
  const settings = toDeviceSettings(config, [{ family: 4, address: '127.0.0.1', port }]);
  let keys = '';
  const engine = await startEngine(
    { name: NAME, offload, mtu: 1420, settings },
    { keyLog: (lines) => (keys += lines) },
  );
  await setUpInterface({
    name: NAME,
    addresses: config.interface.addresses,
    mtu: 1420,
    routes: [parsePrefix('10.9.0.0/16')!],
  });
  const watch = await Watch.begin(engine);
  try {
    // This end knows where the other is, which does not know of this one before.
    await exchange(open(services.echo), rng);
    const held = await atOnce(CONVERSATIONS, rng, (conversation, own) =>
      conversation({ engine, there, services }, own),
    );
    await compareAbilities(engine, offload);
    wire.take();
    const messages = await watch.end();
    const said = `${held} conversations of the kernel’s own programs (offload ${offload ? 'on' : 'off'}), ${messages} messages captured, ${wire.end(keys)} of them on the wire`;
    await administrate(engine, settings, port, rng);
    await exchange(open(services.echo), rng);
    await moveAway(engine);
    if (rng.below(2) === 0) await takeAway(engine);
    return said;
  } finally {
    await Promise.all([engine.stop(), there.stop()]);
    services.close();
    wire.close();
  }
}
