/**
 * One TCP flow through two rootless ends on loopback, against pasta (Debian's package passt), which translates a namespace's TCP to the host's sockets in
 * the same way but with no tunnel in between.
 * (`npm run bench -- --rootless`.)
 *
 * Both are measured with iperf3 from and to this host, one after the other, in turns, each time begun by another one; the first second of each is not counted, in which
 * windows open and code is compiled. pasta carries packets of up to 65 520 bytes between the namespace and itself; the tunnel has the usual MTU of 1420, and is
 * measured once more with packets about as long as pasta's. iperf3's own connections use the system's default congestion control: with CUBIC
 * where BBR was the default pasta stood still for seconds.
 */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';

const ROOT = path.resolve(import.meta.dirname, '..');
const WIRESTREAM = path.join(ROOT, 'packages/cli/bin/run.js');
const TUNNEL_MTU = 1420;
/** The longest that a record has room for. */
const TUNNEL_MTU_MAX = 65_455;
/** Seconds at the beginning of each that are not counted. */
const WARM_UP = 1;
/** CPU time is counted in these (sysconf(3), _SC_CLK_TCK), per second. */
const TICKS = 100;

/** program → Debian package */
export const PROGRAMS = { ip: 'iproute2', iperf3: 'iperf3', pasta: 'passt', setpriv: 'util-linux' };

/** Why it cannot be measured here; null when it can. */
export function obstacle() {
  if (process.platform !== 'linux') return 'needs Linux';
  const missing = Object.keys(PROGRAMS).filter((name) => !has(name));
  return missing.length > 0 ? `needs ${missing.join(', ')}` : null;
}

/**
 * Measures. Every result is a median over the runs.
 * @param {{ seconds?: number, runs?: number, say?: (line: string) => void }} options
 * @returns {Promise<{ results: { what: string, mbits: number, cpuSecondsPerGB: number, runs: number[] }[] }>} pasta's first
 */
export async function benchRootless({ seconds = 5, runs = 5, say = () => undefined } = {}) {
  const subjects = [
    { what: 'pasta, namespace to host', measure: () => throughPasta(seconds) },
    { what: `two rootless ends over TCP, MTU ${TUNNEL_MTU}`, measure: () => throughTunnel(seconds, 'tcp', TUNNEL_MTU) },
    {
      what: `two rootless ends over TCP, MTU ${TUNNEL_MTU_MAX}`,
      measure: () => throughTunnel(seconds, 'tcp', TUNNEL_MTU_MAX),
    },
    { what: `two rootless ends over UDP, MTU ${TUNNEL_MTU}`, measure: () => throughTunnel(seconds, 'udp', TUNNEL_MTU) },
  ];
  const measured = subjects.map(() => []);
  for (let run = 0; run < runs; run++) {
    for (let turn = 0; turn < subjects.length; turn++) {
      const i = (run + turn) % subjects.length;
      const { what, measure } = subjects[i];
      const result = await measure();
      measured[i].push(result);
      say(`${what}: ${result.mbits.toFixed(0)} Mbit/s, ${result.cpuSecondsPerGB.toFixed(1)} CPU s/GB`);
    }
  }
  const results = subjects.map(({ what }, i) => ({
    what,
    mbits: median(measured[i].map(({ mbits }) => mbits)),
    cpuSecondsPerGB: median(measured[i].map(({ cpuSecondsPerGB }) => cpuSecondsPerGB)),
    runs: measured[i].map(({ mbits }) => Math.round(mbits)),
  }));
  return { results };
}

async function throughPasta(seconds) {
  const server = await iperfServer();
  try {
    // The gateway's address stands for the host in the namespace (passt(1), --no-map-gw).
    const gateway = /^default via (\S+)/m.exec(out('ip', ['-4', 'route', 'show', 'default']))?.[1];
    if (gateway === undefined) throw new Error('pasta needs a default route to take its addresses from');
    const client = ['iperf3', ...clientArguments(gateway, server.port, seconds)];
    // As root it would become nobody, and then may not make its namespace.
    const user = process.getuid() === 0 ? ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups'] : [];
    const [program, ...args] = [...user, 'pasta', '--config-net', '--quiet', '--', ...client];
    return await measureWhile(
      () => spawn(program, args, { cwd: '/', stdio: ['ignore', 'pipe', 'pipe'] }),
      (child) => [child.pid],
    );
  } finally {
    server.stop();
  }
}

async function throughTunnel(seconds, transport, mtu) {
  const folder = mkdtempSync(path.join(tmpdir(), 'wirestream-bench-'));
  const children = [];
  const server = await iperfServer();
  try {
    const secrets = [1, 2].map(() => wirestream(['genkey']));
    const keys = secrets.map((secret) => wirestream(['pubkey'], secret));
    const [outer, forward] = [await freePort(), await freePort()];
    for (const number of [2, 1]) {
      const name = `wsbench${process.pid % 10_000}${number}`;
      const file = path.join(folder, `${name}.conf`);
      const lines = [
        ...['[Interface]', `PrivateKey = ${secrets[number - 1]}`, `Address = 10.0.0.${number}/24`, `MTU = ${mtu}`],
        ...[`Transport = ${transport}`, `ListenPort = ${number === 2 ? outer : 0}`],
        ...['[Peer]', `PublicKey = ${keys[2 - number]}`, `AllowedIPs = 10.0.0.${3 - number}/32`],
        ...(number === 1 ? [`Endpoint = 127.0.0.1:${outer}`] : []),
      ];
      writeFileSync(file, `${lines.join('\n')}\n`, { mode: 0o600 });
      const flags =
        number === 1 ? ['--forward', `${forward}=10.0.0.2:${server.port}`] : ['--allow', `127.0.0.1:${server.port}`];
      children.push(await up(folder, file, flags));
    }
    const client = clientArguments('127.0.0.1', forward, seconds);
    return await measureWhile(
      () => spawn('iperf3', client, { stdio: ['ignore', 'pipe', 'pipe'] }),
      () => children.map(({ pid }) => pid),
    );
  } finally {
    for (const child of children) {
      child.kill();
      if (child.exitCode === null) await once(child, 'exit');
    }
    server.stop();
    rmSync(folder, { recursive: true, force: true });
  }
}

function clientArguments(host, port, seconds) {
  return ['-c', host, '-p', `${port}`, '-t', `${seconds}`, '-O', `${WARM_UP}`, '-J'];
}

/** Runs an iperf3 client to its end, and counts what the translators' processes took. */
async function measureWhile(start, translators) {
  const client = start();
  let text = '';
  let trouble = '';
  client.stdout.on('data', (chunk) => (text += chunk));
  client.stderr.on('data', (chunk) => (trouble += chunk));
  const pids = translators(client);
  const before = pids.map(cpuTicks);
  let after = before;
  // The last look before a translator ends counts.
  const look = setInterval(() => (after = pids.map((pid, i) => cpuTicks(pid) ?? after[i])), 100);
  const [code] = await once(client, 'close');
  clearInterval(look);
  if (code !== 0) throw new Error(`iperf3: ${trouble}${text}`);
  after = pids.map((pid, i) => cpuTicks(pid) ?? after[i]);
  const { end, intervals } = JSON.parse(text);
  const bytes = intervals.reduce((total, { sum }) => total + sum.bytes, 0);
  const ticks = after.reduce((sum, n, i) => sum + n - before[i], 0);
  return { mbits: end.sum_received.bits_per_second / 1e6, cpuSecondsPerGB: ticks / TICKS / (bytes / 1e9) };
}

/** User and system time of a process; null when it is gone (proc(5), stat fields 14 and 15). */
function cpuTicks(pid) {
  try {
    const fields = readFileSync(`/proc/${pid}/stat`, 'latin1')
      .replace(/^.*\) /, '')
      .split(' ');
    return Number(fields[11]) + Number(fields[12]);
  } catch {
    return null;
  }
}

async function up(folder, file, flags) {
  const env = { ...process.env, WIRESTREAM_RUN_DIR: path.join(folder, 'run') };
  const args = [WIRESTREAM, 'up', file, '--foreground', '--rootless', ...flags];
  const child = spawn(process.execPath, args, { env, stdio: ['ignore', 'ignore', 'pipe'] });
  let said = '';
  await new Promise((resolve, reject) => {
    child.stderr.on('data', (chunk) => {
      said += chunk;
      if (said.includes(' is up; ')) resolve();
    });
    child.once('exit', () => reject(new Error(`wirestream up: ${said}`)));
  });
  return child;
}

async function iperfServer() {
  const port = await freePort();
  const child = spawn('iperf3', ['-s', '-p', `${port}`, '--forceflush'], { stdio: ['ignore', 'pipe', 'ignore'] });
  await new Promise((resolve) => child.stdout.on('data', (text) => String(text).includes('listening') && resolve()));
  return { port, stop: () => child.kill() };
}

async function freePort() {
  const server = net.createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  return port;
}

function wirestream(args, input = '') {
  return out(process.execPath, [WIRESTREAM, ...args], input).trim();
}

function out(program, args, input = '') {
  const { stdout, stderr, status } = spawnSync(program, args, { encoding: 'utf8', input });
  if (status !== 0) throw new Error(`${program} ${args.join(' ')}: ${stderr}`);
  return stdout;
}

function has(name) {
  const folders = [...(process.env.PATH ?? '').split(path.delimiter), '/usr/sbin', '/sbin'];
  return folders.some((folder) => existsSync(path.join(folder, name)));
}

function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[sorted.length >> 1];
}
