import { EventEmitter } from 'node:events';
import type { CaptureFeed } from '@wirestream/core/capture/live/captures';
import type { TapOptions } from '@wirestream/core/capture/live/encoder';
import type { DeviceSettings } from '@wirestream/core/device/settings';
import type { DeviceSnapshot } from '@wirestream/core/device/snapshot';
import { fastestProvider } from '@wirestream/core/portable/provider';
import { RootlessTunnel } from '@wirestream/core/portable/rootless/tunnel';
import type { HostOptions, TunnelHost, UserSide } from './host.js';
import { keyLogTo } from './keylog.js';

/**
 * The portable driver with the user-space stack: a tunnel with no privileges and no network interface. What peers send to this end is
 * translated to native sockets, and forwards lead from here into the tunnel.
 */
export class RootlessHost extends EventEmitter<{ fatal: [Error] }> implements TunnelHost {
  readonly driver = 'portable';
  #tunnel: RootlessTunnel | null = null;

  async start(options: HostOptions): Promise<void> {
    const tunnel = new RootlessTunnel({
      ...(await fastestProvider(process.env['WIRESTREAM_NATIVE'] !== '0')),
      settings: options.settings,
      mtu: options.mtu,
      addresses: [],
      ...options.user,
      ...(options.keyLogFile === undefined ? {} : { keyLog: keyLogTo(options.keyLogFile) }),
    });
    await tunnel.start();
    this.#tunnel = tunnel;
  }

  async configure(settings: DeviceSettings): Promise<void> {
    await this.#running.configure(settings);
  }

  async snapshot(): Promise<DeviceSnapshot> {
    await Promise.resolve();
    return this.#running.snapshot();
  }

  async capture(options: TapOptions, ready: () => void): Promise<CaptureFeed> {
    await Promise.resolve();
    return this.#running.capture(options, ready);
  }

  async stop(): Promise<void> {
    await this.#tunnel?.stop();
  }

  get user(): UserSide {
    return this.#running;
  }

  get #running(): RootlessTunnel {
    if (this.#tunnel === null) throw new Error('not started');
    return this.#tunnel;
  }
}
