/** The demo as root: two network namespaces, a TUN in each, a veth pair between them. Removes all that it made, also after a failure. */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { ROOT, say } from './setup.mjs';

const WIRESTREAM = path.join(ROOT, 'packages/cli/bin/run.js');
const PORT = 51820;
/** Seconds of the transfer. */
const TRANSFER = 5;

const HOSTS = {
  a: { outer: '192.0.2.1', inner: '10.77.0.1', name: 'wsdemo-a' },
  b: { outer: '192.0.2.2', inner: '10.77.0.2', name: 'wsdemo-b' },
};

export async function namespaces() {
  const folder = mkdtempSync(path.join(tmpdir(), 'wirestream-demo-'));
  const suffix = process.pid;
  const namespace = (host) => `wsdemo-${suffix}-${host}`;
  const config = (host) => path.join(folder, `${HOSTS[host].name}.conf`);
  const children = new Set();
  const up = new Set();

  const prefix = (host) => ['ip', 'netns', 'exec', namespace(host)];
  const quiet = (...command) => {
    const { status, stderr, error } = spawnSync(command[0], command.slice(1), { encoding: 'utf8' });
    if (error || status !== 0) throw new Error(`${command.join(' ')}: ${error?.message ?? stderr.trim()}`);
  };
  /** Shows and runs a command on a host. @returns its standard output */
  const on = (host, command, options = {}) => {
    const [program, ...args] = command;
    const real = program === 'wirestream' ? [process.execPath, WIRESTREAM, ...args] : command;
    const shown = command.map((word) => word.replace(folder, '.')).join(' ');
    console.log(`\nhost-${host}# ${shown}`);
    const [first, ...rest] = [...prefix(host), ...real];
    const { status, stdout, error } = spawnSync(first, rest, {
      encoding: 'utf8',
      stdio: ['inherit', 'pipe', 'inherit'],
      ...options,
    });
    process.stdout.write(options.show === undefined ? (stdout ?? '') : options.show(stdout ?? ''));
    if (error || status !== 0) throw new Error(`${shown} failed${error ? `: ${error.message}` : ''}`);
    return stdout;
  };
  /** Starts a command that goes on. */
  const start = (host, ...command) => {
    const [first, ...rest] = [...prefix(host), ...command];
    const child = spawn(first, rest, { stdio: ['ignore', 'pipe', 'pipe'] });
    children.add(child);
    child.once('exit', () => children.delete(child));
    return child;
  };
  const stop = async (child) => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const gone = once(child, 'exit');
    child.kill('SIGINT');
    await gone;
  };
  const wirestream = (...args) => {
    const { stdout, stderr, status } = spawnSync(process.execPath, [WIRESTREAM, ...args.slice(0, 1)], {
      encoding: 'utf8',
      input: args[1] ?? '',
    });
    if (status !== 0) throw new Error(stderr.trim());
    return stdout.trim();
  };
  let cleaned = false;
  const clean = () => {
    if (cleaned) return;
    cleaned = true;
    for (const host of up) spawnSync(process.execPath, [WIRESTREAM, 'down', config(host)], { stdio: 'ignore' });
    for (const child of children) child.kill('SIGKILL');
    for (const host of Object.keys(HOSTS)) spawnSync('ip', ['netns', 'del', namespace(host)], { stdio: 'ignore' });
    rmSync(folder, { recursive: true, force: true });
  };
  for (const signal of ['SIGINT', 'SIGTERM']) {
    process.once(signal, () => {
      clean();
      process.exit(130);
    });
  }

  try {
    say('two network namespaces, joined by a veth pair');
    for (const host of Object.keys(HOSTS)) quiet('ip', 'netns', 'add', namespace(host));
    quiet(
      'ip',
      '-n',
      namespace('a'),
      'link',
      'add',
      'eth0',
      'type',
      'veth',
      'peer',
      'name',
      'eth0',
      'netns',
      namespace('b'),
    );
    for (const [host, { outer }] of Object.entries(HOSTS)) {
      quiet('ip', '-n', namespace(host), 'addr', 'add', `${outer}/24`, 'dev', 'eth0');
      quiet('ip', '-n', namespace(host), 'link', 'set', 'eth0', 'up');
      quiet('ip', '-n', namespace(host), 'link', 'set', 'lo', 'up');
    }

    const keys = Object.fromEntries(
      Object.keys(HOSTS).map((host) => {
        const secret = wirestream('genkey');
        return [host, { secret, public: wirestream('pubkey', secret) }];
      }),
    );
    for (const [host, { inner }] of Object.entries(HOSTS)) {
      const other = host === 'a' ? 'b' : 'a';
      writeFileSync(
        config(host),
        `[Interface]
PrivateKey = ${keys[host].secret}
ListenPort = ${PORT}
Address = ${inner}/24
Transport = tcp

[Peer]
PublicKey = ${keys[other].public}
AllowedIPs = ${HOSTS[other].inner}/32
${host === 'a' ? `Endpoint = ${HOSTS.b.outer}:${PORT}\n` : ''}`,
        { mode: 0o600 },
      );
    }

    say('a capture of the outer traffic begins');
    const pcap = path.join(folder, 'outer.pcap');
    const tcpdump = start(
      'b',
      'tcpdump',
      '--immediate-mode',
      '-i',
      'eth0',
      '-w',
      pcap,
      '-U',
      '-s',
      '0',
      `tcp port ${PORT}`,
    );
    await new Promise((resolve, reject) => {
      let said = '';
      tcpdump.stderr.on('data', (text) => {
        said += text;
        if (said.includes('listening on')) resolve();
      });
      tcpdump.once('exit', () => reject(new Error(`tcpdump: ${said.trim()}`)));
    });

    say('the tunnel, over TCP');
    const log = { b: path.join(folder, 'b.keys'), a: path.join(folder, 'a.keys') };
    for (const host of ['b', 'a']) {
      up.add(host);
      on(host, ['wirestream', 'up', '--key-log', log[host], config(host)]);
    }

    say('pings through it, both ways');
    const brief = (text) => text.split('\n').slice(-4).join('\n');
    on('a', ['ping', '-c', '5', '-i', '0.2', HOSTS.b.inner]);
    on('b', ['ping', '-c', '5', '-i', '0.2', '-s', '1372', HOSTS.a.inner], { show: brief });

    // The capture holds the beginning; a transfer at full speed would only make it large.
    await stop(tcpdump);

    say(`a transfer of ${TRANSFER} seconds, both ways in turn`);
    const server = start('b', 'iperf3', '-s', '-B', HOSTS.b.inner, '--forceflush');
    await new Promise((resolve, reject) => {
      server.stdout.on('data', (text) => String(text).includes('listening') && resolve());
      server.once('exit', () => reject(new Error('iperf3 -s ended')));
    });
    const rates = (text) =>
      text
        .split('\n')
        .filter((line) => /sender|receiver/.test(line))
        .join('\n') + '\n';
    on('a', ['iperf3', '-c', HOSTS.b.inner, '-t', String(TRANSFER)], { show: rates });
    on('a', ['iperf3', '-c', HOSTS.b.inner, '-t', String(TRANSFER), '-R'], { show: rates });
    await stop(server);

    say('both ends');
    for (const host of ['a', 'b']) on(host, ['wirestream', 'show', HOSTS[host].name]);

    say(`what was on the wire: ${statSync(pcap).size} bytes of capture, decoded`);
    on('a', ['wirestream', 'decode', '--keys', log.a, pcap]);

    say('down');
    for (const host of ['a', 'b']) {
      on(host, ['wirestream', 'down', config(host)]);
      up.delete(host);
    }
    say('done: the tunnel, its processes and its routes are gone');
  } finally {
    clean();
  }
}
