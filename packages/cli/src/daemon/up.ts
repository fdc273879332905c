/**
 * Bringing a tunnel up, in wg-quick's order: the interface, PreUp, keys and peers, addresses and routes, PostUp.
 *
 * Theory of operation. `bringUp` works on a `Carrier`, which is either a daemon just started or a tunnel in this very process. Whatever
 * goes wrong, or Ctrl-C, takes back what was done so far and leaves nothing. What outlives the interface is written to
 * a journal before it is done, from which `takeDown` undoes it: in `down`, in the daemon when it ends by itself, or before the next
 * `up` after a crash.
 */
import { resolve } from 'node:path';
import type { Config } from '@wirestream/core/config/config';
import type { ParsedConfig } from '@wirestream/core/config/parse';
import { toDeviceSettings } from '@wirestream/core/config/settings';
import { WirestreamError } from '@wirestream/core/device/errors';
import type { DeviceSettings } from '@wirestream/core/device/settings';
import type { ConfigSource } from '../config/load.js';
import { resolveEndpoints, type Resolver } from '../config/resolve.js';
import { controlSocket, type RunPaths } from '../control/paths.js';
import { probeSocket } from '../control/socket.js';
import { checkLoops } from '../network/loops.js';
import { guarded } from '../network/guard.js';
import { isRunning, Journal, processStart, readState, removeState } from '../network/journal.js';
import { chooseTable } from '../network/policy.js';
import { needsPolicy } from '../network/routes.js';
import { chooseMtu, DEFAULT_MTU } from '../network/mtu.js';
import { setUpNetwork } from '../network/setup.js';
import type { Shell } from '../network/shell.js';
import { undoNetwork } from '../network/teardown.js';
import { clearLeftovers } from './down.js';
import type { HostOptions } from './host.js';

/** What has the tunnel, once it has been started. */
export interface Carrier {
  readonly pid: number;
  /** whether there is a network interface to set up */
  readonly hasInterface: boolean;
  configure(settings: DeviceSettings): Promise<void>;
  /** Ends it; resolves when nothing of it is left. */
  stop(): Promise<void>;
}

export interface UpJob<C extends Carrier> {
  readonly source: ConfigSource;
  readonly parsed: ParsedConfig;
  readonly paths: RunPaths;
  readonly shell: Shell;
  readonly resolver: Resolver;
  /** given when the user has had enough */
  readonly interrupt: AbortSignal;
  /** what the command line adds to the configuration */
  readonly extra: Pick<HostOptions, 'offload' | 'keyLogFile' | 'user'>;
  start(options: HostOptions): Promise<C>;
}

/** @throws WirestreamError already-up, interrupted, and whatever a step fails with */
export async function bringUp<C extends Carrier>(job: UpJob<C>): Promise<C> {
  const { source, paths } = job;
  const { name } = source;
  const shell = guarded(job.shell, job.interrupt);
  const { config } = job.parsed;
  await checkFree(name, paths, job.shell);
  const settings = await settingsFor(job, shell);
  const { privateKey = null, replacePeers = true, peers, ...device } = settings;
  const mtu = await mtuFor(job, settings, shell);
  // Without a key and peers it does nothing yet; those come after PreUp.
  const carrier = await job.start({ ...job.extra, name, mtu, settings: { ...device, peers: [] } });
  let journal: Journal | null = null;
  try {
    journal = new Journal(paths, {
      name,
      configPath: resolve(source.path),
      pid: carrier.pid,
      started: processStart(carrier.pid) ?? 'unknown',
      iface: withoutSecret(config),
      undo: [],
    });
    for (const command of config.interface.preUp) await shell.hook('PreUp', command, name);
    await carrier.configure({ privateKey, replacePeers, peers });
    if (carrier.hasInterface) await setUpNetwork(name, config, mtu, settings.fwmark ?? 0, shell, journal);
    for (const command of config.interface.postUp) await shell.hook('PostUp', command, name);
    if (carrier.hasInterface) {
      const endpoints = peers.flatMap(({ endpoint }) => (endpoint === undefined ? [] : [endpoint]));
      await checkLoops(name, endpoints, settings.fwmark ?? 0, shell);
    }
    return carrier;
  } catch (error) {
    if (journal !== null) await undoNetwork(journal.state, job.shell);
    await carrier.stop();
    removeState(paths, name);
    throw error;
  }
}

/** Resolves the endpoints and settles on a mark. */
async function settingsFor<C extends Carrier>(job: UpJob<C>, shell: Shell): Promise<DeviceSettings> {
  const { config } = job.parsed;
  const endpoints = await interruptible(resolveEndpoints(job.parsed, job.source.path, job.resolver), job.interrupt);
  const settings = toDeviceSettings(config, endpoints);
  // Without an interface there are no routes, and nothing that could loop.
  if (job.extra.user !== undefined || !needsPolicy(config)) return settings;
  return { ...settings, fwmark: await chooseTable(config.interface.fwmark, shell) };
}

/** The configuration's MTU, else the one that suits the ways to the peers; where there is no interface nobody needs to ask. */
async function mtuFor<C extends Carrier>(job: UpJob<C>, settings: DeviceSettings, shell: Shell): Promise<number> {
  const { config } = job.parsed;
  if (config.interface.mtu !== undefined) return config.interface.mtu;
  if (job.extra.user !== undefined) return DEFAULT_MTU;
  const endpoints = settings.peers.map(({ endpoint }) => endpoint ?? null);
  return chooseMtu(config, endpoints, settings.fwmark ?? 0, shell);
}

async function interruptible<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const stop = () => reject(new WirestreamError('interrupted', 'interrupted'));
    if (signal.aborted) return stop();
    signal.addEventListener('abort', stop);
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', stop));
  });
}

/** A tunnel that crashed is cleaned up after; one that runs is left alone. */
async function checkFree(name: string, paths: RunPaths, shell: Shell): Promise<void> {
  const state = readState(paths, name);
  const socket = await probeSocket(controlSocket(paths, name));
  if (socket === 'live' || (state !== null && isRunning(state))) {
    throw new WirestreamError('already-up', `${name} is up already`, `take it down first: wirestream down ${name}`);
  }
  if (state === null) return;
  shell.say(`warning: ${name} was not taken down properly; cleaning up after it`);
  await clearLeftovers(state, paths, shell);
}

function withoutSecret(config: Config): Omit<Config['interface'], 'privateKey'> {
  const { privateKey: _, ...rest } = config.interface;
  return rest;
}
