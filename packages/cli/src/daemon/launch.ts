import { spawn, type ChildProcess } from 'node:child_process';
import { closeSync, openSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { WirestreamError } from '@wirestream/core/device/errors';
import type { DeviceSettings } from '@wirestream/core/device/settings';
import type { Carrier } from './up.js';
import { makePrivateDir, type RunPaths } from '../control/paths.js';
import { makesInterface } from './host.js';
import { errorOf, type FromDaemon, type Job, type ToDaemon } from './job.js';

export const logFile = (paths: RunPaths, name: string): string => join(paths.runDir, `${name}.log`);

/** The daemon, seen from the command that starts it. */
export class DaemonProcess implements Carrier {
  readonly hasInterface: boolean;
  readonly #child: ChildProcess;
  readonly #log: string;
  readonly #answers: ((message: FromDaemon | null) => void)[] = [];
  #gone = false;

  private constructor(child: ChildProcess, job: Job, log: string) {
    this.hasInterface = makesInterface(job.driver);
    this.#child = child;
    this.#log = log;
    child.on('message', (message: FromDaemon) => this.#answers.shift()?.(message));
    child.once('exit', () => {
      this.#gone = true;
      for (const answer of this.#answers.splice(0)) answer(null);
    });
  }

  /** Starts it in a session of its own, so that no terminal takes it along. @throws WirestreamError what its host fails with */
  static async start(job: Job): Promise<DaemonProcess> {
    const log = logFile(job.paths, job.host.name);
    makePrivateDir(log);
    const fd = openSync(log, 'w', 0o600);
    const main = fileURLToPath(new URL('./main.js', import.meta.url));
    const child = spawn(process.execPath, [...process.execArgv, main], {
      detached: true,
      stdio: ['ignore', fd, fd, 'ipc'],
      serialization: 'advanced',
    });
    closeSync(fd);
    const daemon = new DaemonProcess(child, job, log);
    try {
      await daemon.#ask({ type: 'start', job });
    } catch (error) {
      rmSync(log, { force: true });
      throw error;
    }
    return daemon;
  }

  get pid(): number {
    return this.#child.pid!;
  }

  async configure(settings: DeviceSettings): Promise<void> {
    await this.#ask({ type: 'configure', settings });
  }

  /** Leaves it to itself. */
  async keep(): Promise<void> {
    await this.#ask({ type: 'keep' });
    if (this.#child.connected) this.#child.disconnect();
    this.#child.unref();
  }

  /** Ends it; resolves when the process is gone. */
  async stop(): Promise<void> {
    if (this.#gone) return;
    const exit = new Promise<void>((resolve) => this.#child.once('exit', () => resolve()));
    if (this.#child.connected) this.#child.send({ type: 'stop' } satisfies ToDaemon, () => undefined);
    await exit;
    rmSync(this.#log, { force: true });
  }

  async #ask(message: ToDaemon): Promise<void> {
    const answer = await new Promise<FromDaemon | null>((resolve) => {
      if (this.#gone) return resolve(null);
      this.#answers.push(resolve);
      this.#child.send(message, () => undefined);
    });
    if (answer === null) throw this.#died();
    if (answer.type === 'failed') throw errorOf(answer.error);
  }

  #died(): WirestreamError {
    const { signalCode, exitCode } = this.#child;
    const how = signalCode === null ? `exit code ${exitCode}` : signalCode;
    const last = readFileSync(this.#log, 'utf8').trim().split('\n').pop()!;
    return new WirestreamError('daemon-died', `the daemon has died (${how})${last === '' ? '' : `: ${last}`}`);
  }
}
