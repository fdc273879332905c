/** `node bench/decode.mjs`: how fast `wirestream decode` reads a capture of bulk traffic and decrypts it, beside tshark with the same over UDP. */
import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, statSync, statfsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { ROOT, build, checkNode, installPackages } from '../scripts/lib/setup.mjs';
import { processorTime } from './lib/proc.mjs';
import { median } from './lib/statistics.mjs';
import { formatTable } from './lib/tables.mjs';

const HELP = `node bench/decode.mjs [OPTION]…

Makes captures of bulk traffic with real keys in the folder for temporary files, reads them with wirestream decode and with tshark, and removes
them. A megabyte is a million bytes.

  --size MB          of the capture of TCP that decode reads (1000)
  --udp-size MB      of the capture of UDP that tshark reads, and decode too; what is compared are megabytes per second (100)
  --rounds N         times each (3); the median counts
  --profile DIR      run decode once, under Node's profiler of the processor, which leaves its file in DIR
  --help`;

const MB = 1e6;
/** Free space that is left alone, bytes. */
const SPARE = 500 * MB;
/** MB/s and MB of resident memory that decode was meant to reach. */
const WANTED = { rate: 150, memory: 200 };
/** How often a program's memory is looked at, ms: the kernel keeps the maximum. */
const LOOK = 20;
const PROGRAM = path.join(ROOT, 'packages/cli/bin/run.js');

const say = (line) => console.log(line);

try {
  const { values } = parseArgs({
    options: {
      size: { type: 'string', default: '1000' },
      'udp-size': { type: 'string', default: '100' },
      rounds: { type: 'string', default: '3' },
      profile: { type: 'string' },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) say(HELP);
  else await bench(values);
} catch (error) {
  console.error(`bench: ${error.message}`);
  process.exitCode = error.code?.startsWith('ERR_PARSE_ARGS') ? 2 : 1;
}

async function bench({ profile, ...values }) {
  const [size, udpSize, rounds] = ['size', 'udp-size', 'rounds'].map((name) => whole(name, values[name]));
  checkNode();
  installPackages();
  build();
  // Only now: these come from the build.
  const { writeBulk } = await import('./lib/bulkcapture.mjs');
  const { fastestProvider } = await import('../packages/cli/dist/decode/provider.js');
  const provider = await fastestProvider();
  const folder = makeFolder((size + udpSize) * MB);
  const make = (carrier, megabytes) => {
    const [file, keys] = [path.join(folder, `${carrier}.pcap`), path.join(folder, `${carrier}.keys`)];
    const messages = writeBulk(carrier, provider, file, megabytes * MB, keys);
    return { file, keys, messages, size: statSync(file).size };
  };
  const decode = ({ file, keys }) => [PROGRAM, 'decode', '--summary', '--keys', keys, file];
  const isAll = ({ messages }) => new RegExp(`^decrypted +${messages} of ${messages},`, 'm');

  say(`making a capture of ${size} MB; crypto: ${provider.crypto.name}`);
  const tcp = make('tcp', size);
  if (profile !== undefined) {
    const flags = ['--cpu-prof', `--cpu-prof-dir=${path.resolve(profile)}`];
    const result = await measured(tcp, 1, [process.execPath, ...flags, ...decode(tcp)], isAll(tcp));
    return say(`${result.rate.toFixed(0)} MB/s under the profiler`);
  }
  const results = [
    ['decode --summary', 'TCP', await measured(tcp, rounds, [process.execPath, ...decode(tcp)], isAll(tcp))],
  ];
  const udp = make('udp', udpSize);
  results.push([
    'decode --summary',
    'UDP',
    await measured(udp, rounds, [process.execPath, ...decode(udp)], isAll(udp)),
  ]);
  const version = /TShark.*? ([0-9.]+[0-9])/.exec(spawnSync('tshark', ['--version']).stdout?.toString() ?? '')?.[1];
  if (version === undefined) say('SKIPPED: tshark is not installed');
  else {
    // The least for which it has to decrypt every packet: how many there are of each protocol, those inside included.
    const argv = ['tshark', '-n', '-r', udp.file, '-o', `wg.keylog_file:${udp.keys}`, '-q', '-z', 'io,phs'];
    const inside = new RegExp(`^ +wg +.*\n +ip +frames:${udp.messages} `, 'm');
    results.push([`tshark ${version}`, 'UDP', await measured(udp, rounds, argv, inside)]);
  }
  const rows = results.map(([name, carrier, { size: bytes, rate, perProcessor, memory }]) => [
    `${name}, ${carrier}`,
    ...[bytes / MB, rate, perProcessor, memory].map((value) => value.toFixed(value < 100 ? 1 : 0)),
  ]);
  const title = `reading and decrypting, median of ${rounds}`;
  say(`\n${formatTable({ title, head: ['', 'MB', 'MB/s', 'MB per processor s', 'RSS MB'], rows })}`);
  const [{ rate, perProcessor, memory }, , theirs] = results.map(([, , result]) => result);
  // decode uses one processor, and reads ahead on others: it is slower than that only when it has to wait for one.
  const busy =
    rate < 0.8 * perProcessor ? `; ${perProcessor.toFixed(0)} by its processor time, the machine was busy` : '';
  const told = [
    [`${rate.toFixed(0)} MB/s, asked for ${WANTED.rate}${busy}`, rate >= WANTED.rate],
    [`${memory.toFixed(0)} MB resident, at most ${WANTED.memory} allowed`, memory <= WANTED.memory],
  ];
  if (theirs !== undefined) {
    told.push([`${(rate / theirs.rate).toFixed(1)} times as fast as tshark, per megabyte`, rate > theirs.rate]);
  }
  for (const [text, isMet] of told) say(`${isMet ? 'met   ' : 'MISSED'}  ${text}`);
}

/** @param needed bytes @throws Error when there is no room for them */
function makeFolder(needed) {
  const { bavail, bsize } = statfsSync(tmpdir());
  if (bavail * bsize < needed + SPARE) {
    const room = Math.ceil((needed + SPARE) / MB);
    throw new Error(`${tmpdir()} has no room for ${room} MB: TMPDIR names another place, --size makes it less`);
  }
  const folder = mkdtempSync(path.join(tmpdir(), 'wirestream-bench-'));
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
  for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => process.exit(130));
  return folder;
}

/**
 * Runs a program that reads a capture, several times.
 * @param expected what it has to print
 */
async function measured({ size }, rounds, argv, expected) {
  const all = [];
  for (let i = 0; i < rounds; i++) {
    const { stdout, ...result } = await timed(argv);
    if (!expected.test(stdout)) throw new Error(`${argv.join(' ')} did not find everything:\n${stdout}`);
    all.push(result);
  }
  const of = (name) => median(all.map((one) => one[name]));
  return {
    size,
    rate: size / MB / of('seconds'),
    perProcessor: size / MB / of('processor'),
    memory: Math.max(...all.map(({ memory }) => memory)) / MB,
  };
}

/** Runs a program. @returns what it printed, s that it took, of them on a processor, and the most memory that it had, bytes */
async function timed([program, ...args]) {
  const began = performance.now();
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  let [stdout, stderr, memory, processor] = ['', '', 0, 0];
  child.stdout.setEncoding('utf8').on('data', (text) => (stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text) => (stderr += text));
  const look = () => {
    try {
      const status = readFileSync(`/proc/${child.pid}/status`, 'latin1');
      memory = Math.max(memory, 1024 * Number(/^VmHWM:\s+(\d+)/m.exec(status)?.[1] ?? 0));
      processor = Math.max(processor, processorTime(child.pid));
    } catch {
      // It has ended.
    }
  };
  const timer = setInterval(look, LOOK);
  const code = await new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', resolve);
  });
  clearInterval(timer);
  if (code !== 0) throw new Error(`${program} ${args.join(' ')}: exit code ${code}\n${stderr}`);
  return { stdout, seconds: (performance.now() - began) / 1000, processor, memory };
}

function whole(name, text) {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1) throw new Error(`--${name}: a whole number from 1 on, not ${text}`);
  return value;
}
