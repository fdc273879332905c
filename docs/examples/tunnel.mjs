/** Two ends of a tunnel in one program: a server at one, clients at the other. `node docs/examples/tunnel.mjs`, as any user. */
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import http from 'node:http';
import { formatKey } from '@wirestream/core/config/key';
import { portableCrypto } from '@wirestream/core/noise/portable';
import { TunnelAgent, tunnelConnector } from '@wirestream/core/portable/rootless/agent';
import { openTunnel } from '@wirestream/core/portable/rootless/open';

const keys = { here: randomBytes(32), there: randomBytes(32) };
const publicKey = (key) => formatKey(portableCrypto.publicKey(key));

// A configuration is a wg-quick file's text. This end only waits to be dialled.
const there = await openTunnel(`
  [Interface]
  PrivateKey = ${formatKey(keys.there)}
  Address = 10.0.0.2/24
  Transport = tcp
  [Peer]
  PublicKey = ${publicKey(keys.here)}
  AllowedIPs = 10.0.0.1/32`);
const here = await openTunnel(`
  [Interface]
  PrivateKey = ${formatKey(keys.here)}
  Address = 10.0.0.1/24
  Transport = tcp
  [Peer]
  PublicKey = ${publicKey(keys.there)}
  AllowedIPs = 10.0.0.2/32
  Endpoint = 127.0.0.1:${there.driver.device.listenPort}`);

// Ports of the tunnel's address: every connection is a stream, and an HTTP server takes it for a socket.
const web = http.createServer((request, response) => response.end(`${request.url} by ${request.headers.host}\n`));
there.listen(80, (socket) => web.emit('connection', socket));
there.listen(7, (socket) => socket.pipe(socket));

// A stream into the tunnel.
const echo = here.connect('10.0.0.2', 7);
echo.end('hello, echo\n');
for await (const text of echo.setEncoding('utf8')) process.stdout.write(text);

// An agent for node:http.
const request = http.get('http://10.0.0.2/with-http', { agent: new TunnelAgent(here) });
const [response] = await once(request, 'response');
for await (const text of response.setEncoding('utf8')) process.stdout.write(text);

// A dispatcher for fetch: the Agent of undici (npm), or, as here, the one that Node's own fetch is made with.
const { Agent } = await dispatchers();
const dispatcher = new Agent({ connect: tunnelConnector(here) });
process.stdout.write(await (await fetch('http://10.0.0.2/with-fetch', { dispatcher })).text());

console.log(`ping: ${(await here.ping('10.0.0.2')) > 0 ? 'answered' : ''}`);
await dispatcher.destroy();
await here.stop();
await there.stop();

async function dispatchers() {
  await fetch('data:,');
  return { Agent: globalThis[Symbol.for('undici.globalDispatcher.1')].constructor };
}
