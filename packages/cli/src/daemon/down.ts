import { rmSync } from 'node:fs';
import { WirestreamError } from '@wirestream/core/device/errors';
import { ControlClient } from '../control/control.js';
import { controlSocket, uapiSocket, type RunPaths } from '../control/paths.js';
import { probeSocket } from '../control/socket.js';
import { isRunning, readState, removeState, type TunnelState } from '../network/journal.js';
import type { Shell } from '../network/shell.js';
import { runHooks, undoNetwork } from '../network/teardown.js';
import { saveConfig } from '../config/save.js';
import { logFile } from './launch.js';

/** How long a daemon may take to end before it is killed, ms. */
const STOP_TIMEOUT = 10_000;
/** Between two looks at whether a process is there, ms. */
const POLL = 20;

/**
 * Takes a tunnel down, in wg-quick's order: PreDown, saving the configuration, what was set up, the interface, PostDown.
 * Works on what a crashed daemon left, too. Resolves when nothing is left.
 * @throws WirestreamError not-up, not-ours
 */
export async function takeDown(name: string, paths: RunPaths, shell: Shell): Promise<void> {
  const state = readState(paths, name);
  const client = await openControl(name, paths);
  try {
    if (client === null) {
      if (state === null) throw await notUp(name, paths);
      if (isRunning(state)) await end(state, shell);
      // One that ended by itself has done everything.
      if (readState(paths, name) === null) return forget(name, paths);
      shell.say(`warning: the daemon of ${name} is gone; cleaning up after it`);
      return await clearLeftovers(state, paths, shell);
    }
    if (state === null) return await stop(client, null, shell);
    await runHooks('PreDown', state.iface.preDown, state, shell);
    if (state.iface.saveConfig) await saveConfig(state, await client.snapshot(), shell);
    await undoNetwork(state, shell);
    await stop(client, state, shell);
    await runHooks('PostDown', state.iface.postDown, state, shell);
    forget(name, paths);
  } finally {
    client?.close();
  }
}

/** Undoes what is left of a tunnel whose process is gone. */
export async function clearLeftovers(state: TunnelState, paths: RunPaths, shell: Shell): Promise<void> {
  await undoNetwork(state, shell);
  for (const path of [controlSocket(paths, state.name), uapiSocket(paths, state.name)]) {
    if ((await probeSocket(path).catch(() => 'none')) === 'stale') rmSync(path, { force: true });
  }
  await runHooks('PostDown', state.iface.postDown, state, shell);
  forget(state.name, paths);
}

/** Removes the last files of a tunnel that is down. */
export function forget(name: string, paths: RunPaths): void {
  removeState(paths, name);
  rmSync(logFile(paths, name), { force: true });
}

async function openControl(name: string, paths: RunPaths): Promise<ControlClient | null> {
  try {
    return await ControlClient.open(controlSocket(paths, name));
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ECONNREFUSED') return null;
    if (code !== 'EACCES') throw error;
    throw new WirestreamError('not-ours', `${name} is not yours to take down`, 'run it as the user who brought it up');
  }
}

/** Asks the daemon to end and waits until its process is gone. */
async function stop(client: ControlClient, state: TunnelState | null, shell: Shell): Promise<void> {
  const timeout = new Promise<'late'>((resolve) => setTimeout(() => resolve('late'), STOP_TIMEOUT).unref());
  // However it answers: what counts is that it goes.
  const outcome = await Promise.race([client.stop().catch(() => 'failed'), timeout]);
  if (state === null) return;
  if (outcome === 'late' || !(await gone(state, STOP_TIMEOUT))) await kill(state, shell);
}

/** Ends a daemon that cannot be asked. */
async function end(state: TunnelState, shell: Shell): Promise<void> {
  shell.say(`warning: the daemon of ${state.name} has no socket; sending SIGTERM to process ${state.pid}`);
  signal(state.pid, 'SIGTERM');
  if (!(await gone(state, STOP_TIMEOUT))) await kill(state, shell);
}

async function kill(state: TunnelState, shell: Shell): Promise<void> {
  shell.say(`warning: the daemon of ${state.name} does not end; killing process ${state.pid}`);
  signal(state.pid, 'SIGKILL');
  if (!(await gone(state, STOP_TIMEOUT))) {
    throw new WirestreamError('daemon-stuck', `process ${state.pid} of ${state.name} cannot be killed`);
  }
}

/** A process that is gone already is as good. */
function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

async function gone(state: TunnelState, timeout: number): Promise<boolean> {
  const deadline = performance.now() + timeout;
  while (isRunning(state)) {
    if (performance.now() > deadline) return false;
    await new Promise((resolve) => setTimeout(resolve, POLL));
  }
  return true;
}

async function notUp(name: string, paths: RunPaths): Promise<WirestreamError> {
  const socket = await probeSocket(uapiSocket(paths, name)).catch(() => 'none');
  if (socket === 'live') {
    return new WirestreamError(
      'not-ours',
      `${name} is up, but not as a tunnel of wirestream`,
      `take it down with what brought it up: wg-quick down ${name}, or ip link delete ${name}`,
    );
  }
  const others = process.getuid?.() === 0 ? '' : "; root's are for root to see and to take down";
  return new WirestreamError('not-up', `${name} is not up`, `wirestream show interfaces lists what is${others}`);
}
