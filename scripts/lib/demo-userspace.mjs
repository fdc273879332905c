/** The demo without root: both ends are ordinary processes, and what goes through the tunnel are pings and an HTTP download. */
import { spawn, spawnSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { recordingRelay } from './recording-relay.mjs';
import { ROOT, say } from './setup.mjs';

const WIRESTREAM = path.join(ROOT, 'packages/cli/bin/run.js');
/** Bytes of the download. */
const DOWNLOAD = 32 * 1024 * 1024;
const HOSTS = {
  a: { inner: '10.77.0.1', name: 'wsdemo-a' },
  b: { inner: '10.77.0.2', name: 'wsdemo-b' },
};

async function freePort() {
  const server = net.createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  return port;
}

export async function userspace() {
  const folder = mkdtempSync(path.join(tmpdir(), 'wirestream-demo-'));
  const env = { ...process.env, XDG_RUNTIME_DIR: folder };
  const config = (host) => path.join(folder, `${HOSTS[host].name}.conf`);
  const up = new Set();
  let relay;
  let server;

  /** Shows and runs the command. It is awaited, because the relay and the server run in this process. */
  const wirestream = async (host, ...args) => {
    console.log(`\n${host}$ wirestream ${args.map((word) => word.replace(folder, '.')).join(' ')}`);
    const child = spawn(process.execPath, [WIRESTREAM, ...args], { env, stdio: ['ignore', 'inherit', 'inherit'] });
    const [code] = await once(child, 'exit');
    if (code !== 0) throw new Error(`wirestream ${args[0]} failed`);
  };
  const key = (...args) => {
    const { stdout, stderr, status } = spawnSync(process.execPath, [WIRESTREAM, args[0]], {
      encoding: 'utf8',
      input: args[1] ?? '',
    });
    if (status !== 0) throw new Error(stderr.trim());
    return stdout.trim();
  };
  const clean = () => {
    for (const host of up) spawnSync(process.execPath, [WIRESTREAM, 'down', config(host)], { env, stdio: 'ignore' });
    up.clear();
    rmSync(folder, { recursive: true, force: true });
  };
  for (const signal of ['SIGINT', 'SIGTERM']) {
    process.once(signal, () => {
      clean();
      process.exit(130);
    });
  }

  try {
    const content = randomBytes(DOWNLOAD);
    server = http.createServer((_, response) => response.end(content)).listen(0, '127.0.0.1');
    await once(server, 'listening');
    say(`an HTTP server on 127.0.0.1:${server.address().port}, which only b's end of the tunnel leads to`);

    const listen = { a: await freePort(), b: await freePort() };
    const pcap = path.join(folder, 'outer.pcap');
    relay = await recordingRelay(listen.b, pcap);
    const keys = Object.fromEntries(
      Object.keys(HOSTS).map((host) => {
        const secret = key('genkey');
        return [host, { secret, public: key('pubkey', secret) }];
      }),
    );
    for (const host of ['a', 'b']) {
      const other = host === 'a' ? 'b' : 'a';
      writeFileSync(
        config(host),
        `[Interface]
PrivateKey = ${keys[host].secret}
ListenPort = ${listen[host]}
Address = ${HOSTS[host].inner}/24
Transport = tcp

[Peer]
PublicKey = ${keys[other].public}
AllowedIPs = ${HOSTS[other].inner}/32
${host === 'a' ? `Endpoint = 127.0.0.1:${relay.port}\n` : ''}`,
        { mode: 0o600 },
      );
    }

    say('the tunnel, over TCP, both ends in user space');
    const forward = await freePort();
    const log = path.join(folder, 'a.keys');
    up.add('b');
    await wirestream('b', 'up', config('b'), '--rootless', '--remote-forward', `80=127.0.0.1:${server.address().port}`);
    up.add('a');
    await wirestream(
      'a',
      'up',
      config('a'),
      '--rootless',
      '--key-log',
      log,
      '--forward',
      `127.0.0.1:${forward}=${HOSTS.b.inner}:80`,
    );

    say('pings through it, both ways');
    await wirestream('a', 'ping', HOSTS.a.name, HOSTS.b.inner);
    await wirestream('b', 'ping', HOSTS.b.name, HOSTS.a.inner, '--size', '1300', '--count', '3');

    // The capture holds the beginning; the download would only make it large.
    relay.stopRecording();
    say(`a download of ${DOWNLOAD / 2 ** 20} MiB through it`);
    console.log(`\na$ fetch http://127.0.0.1:${forward}/`);
    const begun = performance.now();
    const got = Buffer.from(await (await fetch(`http://127.0.0.1:${forward}/`)).arrayBuffer());
    const seconds = (performance.now() - begun) / 1000;
    const digest = (bytes) => createHash('sha256').update(bytes).digest('hex');
    if (digest(got) !== digest(content)) throw new Error('the download differs from what was served');
    console.log(
      `${got.length} bytes in ${seconds.toFixed(2)} s, ${((got.length * 8) / seconds / 1e6).toFixed(0)} Mbit/s; SHA-256 as served`,
    );

    say('both ends');
    for (const host of ['a', 'b']) await wirestream(host, 'show', HOSTS[host].name);

    say(`what was on the wire: ${statSync(pcap).size} bytes of capture, decoded`);
    await wirestream('a', 'decode', '--keys', log, pcap);

    say('down');
    for (const host of ['a', 'b']) {
      await wirestream(host, 'down', config(host));
      up.delete(host);
    }
    say('done: the tunnel and its processes are gone');
  } finally {
    clean();
    server?.close();
    server?.closeAllConnections();
    await relay?.close();
  }
}
