/**
 * The daemon: the process that has a tunnel.
 *
 * Theory of operation. `up` starts it detached, with an IPC channel, and tells it step by step what to do. When the
 * channel closes before `keep` was said, the command has died half-way and the tunnel is taken down again. Afterwards
 * the daemon ends when it is asked to on the control socket, by a signal, with the interface, or with the socket file. Asked
 * on the control socket it leaves everything else that was set up to the asker; else it takes that back itself. What it has
 * to say goes to its log, since nobody listens.
 */
import { rmSync } from 'node:fs';
import { isWirestreamError } from '@wirestream/core/device/errors';
import type { RunPaths } from '../control/paths.js';
import { readState, removeState } from '../network/journal.js';
import { SystemShell } from '../network/shell.js';
import { runHooks, undoNetwork } from '../network/teardown.js';
import { createHost } from './host.js';
import { plainError, type FromDaemon, type Job, type ToDaemon } from './job.js';
import { logFile } from './launch.js';
import { Tunnel } from './tunnel.js';

function log(line: string): void {
  process.stderr.write(`${new Date().toISOString()} ${line}\n`);
}

function describe(error: unknown): string {
  if (isWirestreamError(error)) return error.message;
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}

/** Whether an end by itself is what somebody did, like deleting the interface, and no mistake of ours. */
function isExpected(error: Error): boolean {
  return isWirestreamError(error) && error.code !== 'internal';
}

class Daemon {
  #tunnel: Tunnel | null = null;
  #kept = false;
  /** told to end, perhaps before there was anything to end */
  #stopped = false;

  async handle(message: ToDaemon): Promise<void> {
    try {
      if (message.type === 'start') await this.#start(message.job);
      else if (message.type === 'configure') await this.#tunnel!.configure(message.settings);
      else if (message.type === 'keep') this.#kept = true;
      else return this.stop();
      this.#answer({ type: 'done' });
    } catch (error) {
      this.#answer({ type: 'failed', error: plainError(error) });
      if (message.type === 'start') process.exit(1);
    }
    if (this.#kept && process.connected) process.disconnect();
  }

  /** The command is gone. */
  async left(): Promise<void> {
    if (!this.#kept) await this.stop();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#tunnel?.stop({ why: 'told' });
  }

  #answer(message: FromDaemon): void {
    // A command that has died meanwhile is noticed by the channel's end.
    if (process.connected) process.send!(message, undefined, undefined, () => undefined);
  }

  async #start(job: Job): Promise<void> {
    const host = await createHost(job.driver);
    this.#tunnel = await Tunnel.start(host, job.host, job.paths, job.version);
    void this.#attend(this.#tunnel, job.host.name, job.paths);
    if (this.#stopped) await this.stop();
  }

  async #attend(tunnel: Tunnel, name: string, paths: RunPaths): Promise<void> {
    const end = await tunnel.ended;
    log(end.why === 'fatal' ? `fatal: ${describe(end.error)}` : `ended: ${end.why}`);
    if (end.why !== 'asked') await this.#clean(name, paths);
    await tunnel.close();
    // Of an end that nobody wanted something is kept to read, until the next `up` or `down`.
    if (end.why !== 'fatal' || isExpected(end.error)) rmSync(logFile(paths, name), { force: true });
    process.exit(end.why === 'fatal' ? 1 : 0);
  }

  /** Does what `down` would do now that the interface is gone. */
  async #clean(name: string, paths: RunPaths): Promise<void> {
    const state = readState(paths, name);
    // While the command is there, it cleans up itself.
    if (state === null || state.pid !== process.pid || process.connected) return;
    const shell = new SystemShell(log);
    await undoNetwork(state, shell);
    if (this.#kept) await runHooks('PostDown', state.iface.postDown, state, shell);
    removeState(paths, name);
  }
}

const daemon = new Daemon();
let turn = Promise.resolve();
const inTurn = (action: () => Promise<void>) => {
  turn = turn.then(action).catch(fail);
};
function fail(error: unknown): void {
  log(`fatal: ${describe(error)}`);
  process.exit(1);
}

process.chdir('/');
process.on('uncaughtException', (error) => {
  log(`fatal: ${describe(error)}`);
  process.exitCode = 1;
  daemon.stop().catch(fail);
});
process.on('SIGHUP', () => undefined);
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => void daemon.stop().catch(fail));
process.on('disconnect', () => inTurn(async () => daemon.left()));
process.on('message', (message: ToDaemon) => inTurn(async () => daemon.handle(message)));
