/**
 * `wirestream-daemon [-f] NAME`: a userspace implementation as wg-quick(8) and others expect one, after wireguard-go.
 *
 * Theory of operation. The program makes the interface NAME, without any configuration, serves the configuration protocol at
 * /var/run/wireguard/NAME.sock, and goes to the background when both are there: whoever waits for it to return can use `wg` and
 * `ip` at once. It ends on SIGINT and SIGTERM, when the interface is deleted, and when the socket file is, and takes the interface along. The process in
 * the background is this very program again, in the foreground, which tells the first one by IPC that it is ready or why it is not.
 *
 * Environment: WG_PROCESS_FOREGROUND=1 is -f; LOG_LEVEL is verbose (or debug), error or silent, and keeps standard output and
 * error with the process in the background; WG_TUN_FD is a TUN that is open already; WG_UAPI_FD a socket that listens already;
 * WIRESTREAM_TRANSPORT=tcp has peers carried over TCP, for configurations that cannot say so themselves.
 */
import { spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync, rmSync } from 'node:fs';
import { isInterfaceName } from '@wirestream/core/config/names';
import { parseTransport } from '@wirestream/core/config/values';
import { WirestreamError } from '@wirestream/core/device/errors';
import type { Transport } from '@wirestream/core/device/settings';
import { makePrivateDir, runPaths, type RunPaths } from '../control/paths.js';
import { DEFAULT_MTU } from '../network/mtu.js';
import { SystemShell } from '../network/shell.js';
import { createHost } from './host.js';
import { errorOf, plainError, type PlainError } from './job.js';
import { logFile } from './launch.js';
import { tellChanges } from './telling.js';
import { Tunnel } from './tunnel.js';

type LogLevel = 'verbose' | 'error' | 'silent';

/** What the command line and the environment ask for. */
export interface Contract {
  readonly name: string;
  readonly foreground: boolean;
  readonly level: LogLevel;
  /** whether somebody wants to read what the process in the background says */
  readonly listened: boolean;
  readonly transport: Transport;
  readonly tunFd?: number;
  readonly uapiFd?: number;
}

/** @throws WirestreamError usage, bad-environment */
export function readContract(argv: readonly string[], env: NodeJS.ProcessEnv): Contract {
  const flag = argv[0] === '-f' || argv[0] === '--foreground';
  const [given, ...more] = flag ? argv.slice(1) : argv;
  if (given === undefined || more.length > 0 || given.startsWith('-')) {
    throw new WirestreamError('usage', 'Usage: wirestream-daemon [-f|--foreground] INTERFACE-NAME', 'or --version');
  }
  const tunFd = descriptor('WG_TUN_FD', env);
  const uapiFd = descriptor('WG_UAPI_FD', env);
  const name = tunFd === undefined ? given : tunName(tunFd);
  if (!isInterfaceName(name)) {
    throw new WirestreamError(
      'usage',
      `'${name}' is not the name of an interface`,
      'names have 1 to 15 letters, digits or any of _ = + . -',
    );
  }
  const word = env['LOG_LEVEL'] ?? '';
  const level = word === 'verbose' || word === 'debug' ? 'verbose' : word === 'silent' ? 'silent' : 'error';
  const wanted = env['WIRESTREAM_TRANSPORT'] ?? '';
  const transport = wanted === '' ? 'udp' : parseTransport(wanted);
  if (transport === null) throw badEnvironment('WIRESTREAM_TRANSPORT', 'tcp, udp or auto');
  return {
    name,
    foreground: flag || env['WG_PROCESS_FOREGROUND'] === '1',
    level,
    listened: word !== '' && level !== 'silent',
    transport,
    ...(tunFd === undefined ? {} : { tunFd }),
    ...(uapiFd === undefined ? {} : { uapiFd }),
  };
}

/** The name of the interface behind a TUN's descriptor, which is what counts then. @throws WirestreamError bad-environment */
function tunName(fd: number): string {
  try {
    const name = /^iff:\s*(\S+)$/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, 'utf8'))?.[1];
    if (name !== undefined) return name;
  } catch {
    // No such descriptor.
  }
  throw badEnvironment('WG_TUN_FD', 'the number of an open descriptor of a TUN');
}

function descriptor(variable: string, env: NodeJS.ProcessEnv): number | undefined {
  const text = env[variable] ?? '';
  if (text === '') return undefined;
  if (/^[0-9]{1,7}$/.test(text)) return Number(text);
  throw badEnvironment(variable, 'the number of an open descriptor');
}

function badEnvironment(variable: string, wanted: string): WirestreamError {
  return new WirestreamError('bad-environment', `${variable} is not ${wanted}`, 'or leave it unset');
}

/** What the process in the background tells the one that started it. */
type Outcome = { readonly ready: true } | { readonly ready: false; readonly error: PlainError };

/**
 * Starts the process in the background and waits until it is ready.
 * @param program the file to run again
 * @throws WirestreamError what it fails with
 */
export async function background(contract: Contract, program: string): Promise<void> {
  const { name, listened, tunFd, uapiFd } = contract;
  const paths = runPaths();
  const log = logFile(paths, name);
  makePrivateDir(log);
  const out = listened ? ('inherit' as const) : openSync(log, 'w', 0o600);
  const env: NodeJS.ProcessEnv = { ...process.env, WG_PROCESS_FOREGROUND: '1' };
  // Descriptors get the numbers that they are passed at.
  if (tunFd !== undefined) env['WG_TUN_FD'] = '4';
  if (uapiFd !== undefined) env['WG_UAPI_FD'] = '5';
  const child = spawn(process.execPath, [...process.execArgv, program, name], {
    detached: true,
    stdio: ['ignore', out, out, 'ipc', tunFd ?? 'ignore', uapiFd ?? 'ignore'],
    env,
  });
  if (out !== 'inherit') closeSync(out);
  const outcome = await new Promise<Outcome>((resolve) => {
    child.once('message', (message) => resolve(message as Outcome));
    child.once('error', (error) => resolve({ ready: false, error: plainError(error) }));
    child.once('exit', (code, signal) => {
      resolve({ ready: false, error: plainError(new WirestreamError('daemon-died', died(code, signal, log))) });
    });
  });
  if (!outcome.ready) {
    rmSync(log, { force: true });
    throw errorOf(outcome.error);
  }
  child.disconnect();
  child.unref();
}

function died(code: number | null, signal: string | null, log: string): string {
  let last = '';
  try {
    last = readFileSync(log, 'utf8').trim().split('\n').pop() ?? '';
  } catch {
    // It said nothing, or to somebody else.
  }
  return `the daemon has died (${signal ?? `exit code ${code}`})${last === '' ? '' : `: ${last}`}`;
}

/**
 * Has the tunnel until it ends. @returns the exit code
 * @throws WirestreamError what the tunnel cannot be started for
 */
export async function foreground(contract: Contract, version: string): Promise<number> {
  const { name, level } = contract;
  process.title = `wirestream-daemon ${name}`;
  const paths = runPaths();
  const say = (line: string): void => {
    if (level !== 'silent') process.stderr.write(`${line}\n`);
  };
  const debug = (line: string): void => {
    if (level === 'verbose') say(`(${name}) ${line}`);
  };
  let tunnel: Tunnel | null = null;
  let told = false;
  const stop = (): void => {
    told = true;
    void tunnel?.stop({ why: 'told' });
  };
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, stop);
  process.on('SIGHUP', () => undefined);
  // Nobody waits for it any more before it was ready.
  const onLeft = () => stop();
  process.on('disconnect', onLeft);
  try {
    tunnel = await start(contract, paths, version, debug);
  } catch (error) {
    if (!process.connected) throw error;
    await tell({ ready: false, error: plainError(error) });
    return 1;
  }
  process.off('disconnect', onLeft);
  if (told) stop();
  else await tell({ ready: true });
  const stopTelling = level === 'verbose' ? tellChanges(tunnel, debug) : () => undefined;
  const end = await tunnel.ended;
  stopTelling();
  await tunnel.close();
  const broken = end.why === 'fatal' && (end.error as { code?: unknown }).code !== 'tun-gone';
  if (broken) say(`ERROR: (${name}) ${end.error.message}`);
  else {
    debug(end.why === 'fatal' ? end.error.message : `ended: ${end.why}`);
    rmSync(logFile(paths, name), { force: true });
  }
  return broken ? 1 : 0;
}

async function start(
  contract: Contract,
  paths: RunPaths,
  version: string,
  debug: (line: string) => void,
): Promise<Tunnel> {
  const { name, transport, tunFd, uapiFd } = contract;
  const options = {
    name,
    mtu: DEFAULT_MTU,
    settings: { transport, peers: [] },
    ...(tunFd === undefined ? {} : { tunFd }),
  };
  const tunnel = await Tunnel.start(await createHost('linux'), options, paths, version, uapiFd);
  debug(`wirestream ${version} serves ${name}`);
  try {
    // wireguard-go's interfaces begin with this MTU, too; without ip(8) the kernel's own has to do.
    await new SystemShell(debug).run(['ip', 'link', 'set', 'dev', name, 'mtu', String(DEFAULT_MTU)]);
  } catch (error) {
    debug(`the MTU is not set: ${(error as Error).message}`);
  }
  return tunnel;
}

/** Tells whoever started this process, if anybody waits for it. */
async function tell(outcome: Outcome): Promise<void> {
  if (!process.connected) return;
  await new Promise<void>((resolve) => process.send!(outcome, undefined, undefined, () => resolve()));
  if (process.connected) process.disconnect();
}
