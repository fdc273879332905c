import type { DeviceSettings } from '@wirestream/core/device/settings';
import { saveConfig } from '../config/save.js';
import type { RunPaths } from '../control/paths.js';
import { readState } from '../network/journal.js';
import type { Shell } from '../network/shell.js';
import { runHooks, undoNetwork } from '../network/teardown.js';
import { forget } from './down.js';
import { createHost, makesInterface, type DriverName, type HostOptions } from './host.js';
import { tellChanges } from './telling.js';
import { Tunnel } from './tunnel.js';
import type { Carrier } from './up.js';

/** A tunnel in the process of the command itself. */
export class ForegroundTunnel implements Carrier {
  readonly pid = process.pid;

  private constructor(
    private readonly tunnel: Tunnel,
    readonly hasInterface: boolean,
    private readonly name: string,
    private readonly paths: RunPaths,
  ) {}

  static async start(
    driver: DriverName,
    options: HostOptions,
    paths: RunPaths,
    version: string,
  ): Promise<ForegroundTunnel> {
    const tunnel = await Tunnel.start(await createHost(driver), options, paths, version);
    return new ForegroundTunnel(tunnel, makesInterface(driver), options.name, paths);
  }

  async configure(settings: DeviceSettings): Promise<void> {
    return this.tunnel.configure(settings);
  }

  async stop(): Promise<void> {
    await this.tunnel.stop({ why: 'told' });
    await this.tunnel.close();
  }

  /**
   * Stays until the tunnel ends or the user has had enough, telling what happens meanwhile; then leaves nothing.
   * @throws what the tunnel died of
   */
  async stay(shell: Shell, interrupt: AbortSignal): Promise<void> {
    const stopTelling = tellChanges(this.tunnel, (line) => shell.say(line));
    const told = new Promise<'interrupted'>((resolve) => {
      if (interrupt.aborted) resolve('interrupted');
      interrupt.addEventListener('abort', () => resolve('interrupted'));
    });
    const end = await Promise.race([this.tunnel.ended, told]);
    stopTelling();
    // Whoever asked on the control socket is `down`, which does the rest itself.
    if (end !== 'interrupted' && end.why === 'asked') return this.tunnel.close();
    const state = readState(this.paths, this.name);
    if (state !== null && end === 'interrupted') {
      await runHooks('PreDown', state.iface.preDown, state, shell);
      if (state.iface.saveConfig) await saveConfig(state, await this.tunnel.snapshot(), shell);
    }
    if (state !== null) await undoNetwork(state, shell);
    await this.stop();
    if (state !== null) await runHooks('PostDown', state.iface.postDown, state, shell);
    forget(this.name, this.paths);
    if (end !== 'interrupted' && end.why === 'fatal') throw end.error;
  }
}
