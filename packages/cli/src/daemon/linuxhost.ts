import { EventEmitter } from 'node:events';
import { WirestreamError } from '@wirestream/core/device/errors';
import type { CaptureFeed } from '@wirestream/core/capture/live/captures';
import type { TapOptions } from '@wirestream/core/capture/live/encoder';
import type { DeviceSettings } from '@wirestream/core/device/settings';
import type { DeviceSnapshot } from '@wirestream/core/device/snapshot';
import { startEngine, type EngineHost } from '@wirestream/core/linux/enginehost';
import type { HostOptions, TunnelHost } from './host.js';
import { keyLogTo } from './keylog.js';

/** The Linux driver: a TUN, and an engine in a thread of its own. */
export class LinuxHost extends EventEmitter<{ fatal: [Error] }> implements TunnelHost {
  readonly driver = 'linux';
  readonly user = null;
  #engine: EngineHost | null = null;

  async start(options: HostOptions): Promise<void> {
    const { name, mtu, settings, offload = true, keyLogFile, tunFd } = options;
    const keyLog = keyLogFile === undefined ? {} : { keyLog: keyLogTo(keyLogFile) };
    const engine = await startEngine(
      { name, mtu, settings, offload, ...(tunFd === undefined ? {} : { tunFd }) },
      keyLog,
    );
    this.#engine = engine;
    void engine.ended.then((error) => {
      if (error !== null) this.emit('fatal', error);
    });
  }

  async configure(settings: DeviceSettings): Promise<void> {
    return this.#running.configure(settings);
  }

  async snapshot(): Promise<DeviceSnapshot> {
    return this.#running.snapshot();
  }

  async capture(options: TapOptions, ready: () => void): Promise<CaptureFeed> {
    return this.#running.capture(options, ready);
  }

  async stop(): Promise<void> {
    await this.#engine?.stop();
  }

  get #running(): EngineHost {
    if (this.#engine === null) throw new WirestreamError('engine-stopped', 'the tunnel has not been started');
    return this.#engine;
  }
}
