import { once } from 'node:events';
import http from 'node:http';
import net from 'node:net';
import type { Duplex } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { TunnelAgent, tunnelConnector } from '@wirestream/core/portable/rootless/agent';
import type { TunnelSocket } from '@wirestream/core/portable/rootless/tunnelsocket';
import { formatIp } from '@wirestream/core/address/ip';
import { Reply, writeDatagram } from '@wirestream/core/userspace/socks5';
import { concat, noise } from '../arbitraries/bytes.js';
import type { Rng } from '../campaign/mutate.js';
import { must, mustEqual } from '../target.js';
import { alone, exchange, exchangeDatagrams, pinged } from './exchange.js';
import { NAMES } from './services.js';
import { BEYOND, FORBIDDEN, PORT, type World } from './world.js';

/** One thing that a program does with a tunnel, and what must come of it. @throws when it does not */
export type Conversation = (world: World, rng: Rng) => Promise<void>;

const OTHER = '10.0.0.2';
/** The same end by its other address. */
const OTHER_6 = 'fd00::2';

/** What is at the second end's ports inside its program. */
export function serveInside({ there }: World): void {
  there.listen(PORT.inside, (socket) => {
    socket.on('error', () => undefined);
    socket.pipe(socket);
  });
  const web = http.createServer((request, response) => void request.pipe(response));
  there.listen(PORT.web, (socket) => void web.emit('connection', socket));
  there.listen(PORT.rude, (socket) => {
    socket.on('error', () => undefined);
    socket.once('data', () => socket.resetAndDestroy());
  });
}

const native = (to: { port: number }) => net.connect({ port: to.port, host: '127.0.0.1', allowHalfOpen: true });

/** How a connection ended that must not last: the code of its error, or 'end'. */
export async function fate(socket: Duplex): Promise<string> {
  // Half open, it would wait for us.
  socket.once('end', () => socket.end());
  socket.resume();
  return new Promise((resolve) => {
    socket.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
    socket.once('close', () => resolve('end'));
  });
}

/** Asks the proxy for something. @returns the connection behind it, or the code of its refusal */
async function ask(world: World, rng: Rng, command: number, host: string, port: number) {
  const socket = native(world.socks5);
  const name = [...Buffer.from(host)];
  const isV4 = net.isIPv4(host);
  const where = isV4 ? [1, ...host.split('.').map(Number)] : [3, name.length, ...name];
  const said = Uint8Array.from([5, 2, 0, 2, 5, command, 0, ...where, port >> 8, port & 255]);
  const cut = rng.below(said.length);
  socket.write(said.subarray(0, cut));
  if (rng.below(2) === 0) await sleep(2);
  socket.write(said.subarray(cut));
  const head = await take(socket, 2 + 10);
  mustEqual([head[0], head[1], head[2]], [5, 0, 5], 'the proxy’s greeting');
  return { socket, code: head[3]!, bound: { host: formatIp(head.subarray(6, 10)), port: head.readUInt16BE(10) } };
}

/** The first bytes of a stream; those behind them are left in it. */
async function take(socket: Duplex, length: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    let got = Buffer.alloc(0);
    const end = () => reject(new Error(`it ended after ${got.length} of ${length} bytes`));
    const more = (bytes: Buffer) => {
      got = Buffer.concat([got, bytes]);
      if (got.length < length) return;
      socket.off('data', more).off('end', end).off('error', reject).pause();
      if (got.length > length) socket.unshift(got.subarray(length));
      resolve(got.subarray(0, length));
    };
    socket.on('data', more).on('end', end).on('error', reject);
  });
}

export const CONVERSATIONS: Readonly<Record<string, Conversation>> = {
  'a program at the other end': async ({ here }, rng) => {
    const host = rng.pick([OTHER, OTHER_6, 'echo.test', 'long.test']);
    const socket: TunnelSocket = here.connect(host, PORT.inside);
    socket.setTimeout(20_000).setNoDelay().setKeepAlive().ref().unref();
    await exchange(socket, rng);
    const mine = host === OTHER_6 ? 'fd00::1' : '10.0.0.1';
    mustEqual([socket.localAddress, socket.remotePort, socket.timeout], [mine, PORT.inside, 20_000], 'addresses');
    mustEqual((socket.address() as { address: string }).address, mine, 'address()');
    socket.setTimeout(0);
  },
  'a service of the other host': async ({ here, services }, rng) => {
    await exchange(here.connect(OTHER, rng.pick([services.echo, PORT.outside])), rng);
  },
  'a forward': async ({ forwards }, rng) => {
    await exchange(native(rng.pick([forwards.stream, forwards.named])), rng);
  },
  'the proxy': async (world, rng) => {
    const port = rng.pick([PORT.outside, PORT.inside, world.services.echo]);
    const { socket, code } = await ask(world, rng, 1, rng.pick([OTHER, 'echo.test', 'long.test']), port);
    mustEqual(code, Reply.succeeded, 'the proxy’s answer');
    await exchange(socket, rng);
  },
  'datagrams through a forward': ({ forwards }, rng) => exchangeDatagrams(forwards.datagrams, rng),
  'datagrams through the proxy': async (world, rng) => {
    const { socket, code, bound } = await ask(world, rng, 3, '0.0.0.0', 0);
    mustEqual([code, bound.host], [Reply.succeeded, '127.0.0.1'], 'the proxy’s answer');
    const head = writeDatagram({ host: OTHER, port: PORT.outside }, new Uint8Array(0));
    await exchangeDatagrams(bound, rng, (data) => concat([head, data]), head.length);
    socket.destroy();
  },
  'what nobody offers': async (world, rng) => {
    const { here, services, forwards } = world;
    const cases: (() => Promise<void>)[] = [
      async () => mustEqual(await fate(here.connect(OTHER, services.nobody)), 'ECONNREFUSED', 'a closed port'),
      async () => mustEqual(await fate(here.connect(FORBIDDEN, 80)), 'EACCES', 'a port that is not allowed'),
      async () => mustEqual(await fate(here.connect('192.0.2.1', 80)), 'EHOSTUNREACH', 'an address that no peer has'),
      async () => mustEqual(await fate(here.connect('elsewhere.test', 80)), 'EHOSTUNREACH', 'a name out there'),
      async () => mustEqual(await fate(here.connect('nowhere.test', 80)), 'ENOTFOUND', 'a name that is none'),
      async () => mustEqual(await fate(native(forwards.dead)), 'ECONNRESET', 'a forward to a closed port'),
      async () => {
        const [host, port, expected] = rng.pick([
          [OTHER, services.nobody, Reply.refused],
          [FORBIDDEN, 80, Reply.notAllowed],
          ['192.0.2.1', 80, Reply.hostUnreachable],
          ['nowhere.test', 80, Reply.hostUnreachable],
        ] as const);
        const { socket, code } = await ask(world, rng, 1, host, port);
        mustEqual(code, expected, `the proxy’s answer for ${host}:${port}`);
        mustEqual(await fate(socket), 'end', 'the connection behind it');
      },
    ];
    await rng.pick(cases)();
  },
  'broken connections': async ({ here, there, forwards }, rng) => {
    const port = 1000 + rng.below(60_000);
    const heard = new Promise<string>((resolve) => {
      const server = there.listen(port, (socket) => {
        server.close();
        void fate(socket).then(resolve);
      });
    });
    const socket = here.connect(OTHER, port);
    await once(socket, 'connect');
    socket.write(noise(rng.below(50_000), port));
    if (rng.below(2) === 0) await sleep(rng.below(20));
    socket.resetAndDestroy();
    mustEqual(await heard, 'ECONNRESET', 'what the other end hears of a reset');
    const rude = rng.below(2) === 0 ? here.connect(OTHER, PORT.rude) : native(forwards.stream);
    rude.write('hello');
    if (rude instanceof net.Socket) {
      await once(rude, 'data');
      rude.resetAndDestroy();
    } else mustEqual(await fate(rude), 'ECONNRESET', 'what this end hears of a reset');
  },
  'clients of the proxy that speak something else': async (world, rng) => {
    const socket = native(world.socks5);
    const ending = fate(socket);
    const greeting = rng.below(2) === 0 ? [5, 1, 0] : [];
    socket.write(concat([Uint8Array.from(greeting), noise(1 + rng.below(400), rng.uint32())]));
    await sleep(rng.below(30));
    socket.end();
    await ending;
  },
  http: async ({ here }, rng) => {
    const body = noise(rng.below(30_000), rng.uint32());
    const agent = new TunnelAgent(here);
    const request = http.request({ host: OTHER, port: PORT.web, method: 'POST', agent });
    request.end(body);
    const [response] = (await once(request, 'response')) as [http.IncomingMessage];
    const heard: Buffer[] = [];
    for await (const part of response) heard.push(part as Buffer);
    must(Buffer.compare(Buffer.concat(heard), body) === 0, 'a web server heard something else');
    agent.destroy();
  },
  'a connector': async ({ here }, rng) => {
    const wanted = {
      hostname: rng.pick([OTHER, `[${OTHER_6}]`, 'echo.test']),
      protocol: 'http:',
      port: String(PORT.inside),
    };
    const socket = await new Promise<Duplex>((resolve, reject) =>
      tunnelConnector(here)(wanted, (error, made) => (made === null ? reject(error!) : resolve(made))),
    );
    await exchange(socket, rng);
  },
  pings: async ({ here, there }, rng) => {
    await pinged(here, OTHER, rng.below(1393));
    await pinged(there, 'fd00::1', rng.below(1373));
    const code = await here.ping(FORBIDDEN, { timeout: 100 }).catch((error: { code: string }) => error.code);
    mustEqual(code, 'no-answer', 'a ping of what may not be reached');
    const nowhere = await here.ping('not an address').catch((error: { code: string }) => error.code);
    mustEqual(nowhere, 'EHOSTUNREACH', 'a ping of nothing');
  },
  names: async ({ here }, rng) => {
    const name = rng.pick(['echo.test', 'long.test', 'ECHO.test']);
    mustEqual([...(await here.resolve(name))], NAMES[name.toLowerCase()], name);
    const code = await here.resolve('a..b').catch((error: { code: string }) => error.code);
    mustEqual(code, 'ENOTFOUND', 'what cannot be a name');
  },
  settings: ({ here, there }, rng) =>
    alone(async () => {
      // Connections outlive it: whatever else is going on must not notice.
      const keepalive = rng.below(100);
      const { peers } = there.snapshot();
      await there.configure({
        peers: [{ publicKey: peers[0]!.publicKey, allowedIps: [], persistentKeepalive: keepalive }],
      });
      mustEqual(there.snapshot().peers[0]!.persistentKeepalive, keepalive, 'a setting');
      must(
        here.flows().every(({ ageMs, idleMs }) => ageMs >= idleMs),
        'a flow was idle before it began',
      );
    }),
};

/** Needs a host that has the address and may be pinged. */
export const pingBeyond: Conversation = ({ here }, rng) => pinged(here, BEYOND, rng.below(1000));
