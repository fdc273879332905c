import { EventEmitter } from 'node:events';
import type { DeviceSettings } from '@wirestream/core/device/settings';
import type { DeviceSnapshot } from '@wirestream/core/device/snapshot';
import { nativeCrypto } from '@wirestream/core/noise/native';
import { PortableDriver } from '@wirestream/core/portable/portable';
import type { HostOptions, TunnelHost } from './host.js';
import { keyLogTo } from './keylog.js';

/**
 * The portable driver: handshakes, keepalives and connections with no privileges and no network interface. Inner packets
 * that arrive have nowhere to go and are let fall, so it is of use for reaching peers and looking at them, not for traffic.
 */
export class PortableHost extends EventEmitter<{ fatal: [Error] }> implements TunnelHost {
  readonly driver = 'portable';
  #driver: PortableDriver | null = null;

  async start(options: HostOptions): Promise<void> {
    const driver = new PortableDriver({
      crypto: nativeCrypto,
      settings: options.settings,
      mtu: options.mtu,
      deliver: () => undefined,
      ...(options.keyLogFile === undefined ? {} : { keyLog: keyLogTo(options.keyLogFile) }),
    });
    try {
      await driver.start();
    } catch (error) {
      await driver.stop();
      throw error;
    }
    this.#driver = driver;
  }

  async configure(settings: DeviceSettings): Promise<void> {
    await Promise.resolve();
    this.#running.configure(settings);
  }

  async snapshot(): Promise<DeviceSnapshot> {
    await Promise.resolve();
    return this.#running.snapshot();
  }

  async stop(): Promise<void> {
    await this.#driver?.stop();
  }

  get #running(): PortableDriver {
    if (this.#driver === null) throw new Error('not started');
    return this.#driver;
  }
}
