import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeAll, expect, test } from '@jest/globals';
import { formatKey } from '../../../src/config/key.js';
import { portableCrypto } from '../../../src/noise/portable.js';
import { TunnelAgent, TunnelHttpsAgent, tunnelConnector } from '../../../src/portable/rootless/agent.js';
import { openTunnel, type OpenOptions } from '../../../src/portable/rootless/open.js';
import type { RootlessTunnel } from '../../../src/portable/rootless/tunnel.js';
import { parseAllow } from '../../../src/userspace/rules.js';
import { closeAll, drain, webServer } from './ends.js';

interface Dispatcher {
  destroy(): Promise<void>;
}
/** undici's, as Node's own fetch has it. */
type AgentClass = new (options: { connect: ReturnType<typeof tunnelConnector> }) => Dispatcher;

let DispatcherAgent: AgentClass;
const tunnels: RootlessTunnel[] = [];
const endings: (() => unknown)[] = [];

beforeAll(async () => {
  await fetch('data:,');
  // Jest gives tests a global object of their own; fetch is of the real one.
  const real = (await (fetch.constructor as (body: string) => () => unknown)('return globalThis')()) as object;
  const slot = Symbol.for('undici.globalDispatcher.1') as unknown as keyof typeof real;
  DispatcherAgent = (real[slot] as { constructor: AgentClass }).constructor;
});

afterEach(async () => {
  for (const end of endings.splice(0)) await end();
  await Promise.all(tunnels.splice(0).map((tunnel) => tunnel.stop()));
  await closeAll();
});

/** Two ends made from files' texts; the second may have what it is told. */
async function opened(options: OpenOptions): Promise<RootlessTunnel> {
  const secrets = [randomBytes(32), randomBytes(32)] as const;
  const text = (mine: 0 | 1, endpoint = '') => `
    [Interface]
    PrivateKey = ${formatKey(secrets[mine])}
    Address = 10.0.0.${mine + 1}/24
    Transport = tcp
    [Peer]
    PublicKey = ${formatKey(portableCrypto.publicKey(secrets[mine === 0 ? 1 : 0]))}
    AllowedIPs = 10.0.0.${2 - mine}/32
    ${endpoint}`;
  const there = await openTunnel(text(1), options);
  tunnels.push(there);
  // A name, which is looked up.
  const here = await openTunnel(text(0, `Endpoint = localhost:${there.driver.device.listenPort}`));
  tunnels.push(here);
  return here;
}

test('http.get through an agent', async () => {
  const port = await webServer((request, response) => response.end(`got ${request.url} of ${request.headers.host}`));
  const here = await opened({ allow: [parseAllow(`127.0.0.1:${port}`)] });
  const agent = new TunnelAgent(here, { keepAlive: true });
  endings.push(() => agent.destroy());
  for (const name of ['/a', '/b']) {
    const [response] = (await once(http.get(`http://10.0.0.2:${port}${name}`, { agent }), 'response')) as [
      http.IncomingMessage,
    ];
    expect((await drain(response)).toString()).toBe(`got ${name} of 10.0.0.2:${port}`);
  }
});

test('fetch through a dispatcher, bodies both ways', async () => {
  const port = await webServer((request, response) => request.pipe(response));
  const here = await opened({ allow: [parseAllow(`127.0.0.1:${port}`)] });
  const dispatcher = new DispatcherAgent({ connect: tunnelConnector(here) });
  endings.push(() => dispatcher.destroy());
  const body = randomBytes(500_000);
  const options: object = { method: 'POST', body, dispatcher };
  const answer = await fetch(`http://10.0.0.2:${port}/`, options);
  expect(Buffer.from(await answer.arrayBuffer()).equals(body)).toBe(true);
});

test('a fetch that is refused says so', async () => {
  const here = await opened({});
  const dispatcher = new DispatcherAgent({ connect: tunnelConnector(here) });
  endings.push(() => dispatcher.destroy());
  const error = await fetch('http://10.0.0.2:10009/', { dispatcher } as object).catch((reason: unknown) => reason);
  expect((error as { cause: NodeJS.ErrnoException }).cause.code).toBe('ECONNREFUSED');
});

function certificate(): { key: Buffer; cert: Buffer } | null {
  const folder = mkdtempSync(path.join(tmpdir(), 'wirestream-tls-'));
  const [key, cert] = ['key', 'cert'].map((name) => path.join(folder, name)) as [string, string];
  try {
    const kind = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2'];
    const names = ['-subj', '/CN=inside.test', '-addext', 'subjectAltName=DNS:inside.test,IP:10.0.0.2'];
    execFileSync('openssl', ['req', '-x509', ...kind, ...names, '-keyout', key, '-out', cert], { stdio: 'ignore' });
    return { key: readFileSync(key), cert: readFileSync(cert) };
  } catch {
    return null;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

const identity = certificate();
(identity === null ? test.skip : test)(
  'https, by agent and by fetch, with the server’s certificate checked',
  async () => {
    const server = https.createServer(identity!, (_request, response) => response.end('secret'));
    endings.push(() => server.close());
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const here = await opened({ allow: [parseAllow(`127.0.0.1:${port}`)] });
    const ca = identity!.cert;
    const get = async (trusted: Buffer[]) => {
      const agent = new TunnelHttpsAgent(here);
      endings.push(() => agent.destroy());
      const request = https.get({ host: '10.0.0.2', port, agent, ca: trusted });
      const [response] = (await once(request, 'response')) as [http.IncomingMessage];
      return (await drain(response)).toString();
    };
    expect(await get([ca])).toBe('secret');
    await expect(get([])).rejects.toMatchObject({ code: 'DEPTH_ZERO_SELF_SIGNED_CERT' });
    const dispatcher = new DispatcherAgent({ connect: tunnelConnector(here, { ca }) });
    endings.push(() => dispatcher.destroy());
    const answer = await fetch(`https://10.0.0.2:${port}/`, { dispatcher } as object);
    expect(await answer.text()).toBe('secret');
  },
);
