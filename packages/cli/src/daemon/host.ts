import type { DeviceSettings } from '@wirestream/core/device/settings';
import type { DeviceSnapshot } from '@wirestream/core/device/snapshot';
import { WirestreamError } from '@wirestream/core/device/errors';

/** What a host is started with. */
export interface HostOptions {
  /** of the network interface, where the driver makes one */
  readonly name: string;
  /** of the inner interface, bytes */
  readonly mtu: number;
  readonly settings: DeviceSettings;
  /** whether to ask the kernel for TUN offload; yes when absent */
  readonly offload?: boolean;
  /** the file to append a Wireshark key log to; without it none is made */
  readonly keyLogFile?: string;
}

/**
 * Whatever carries a tunnel: an engine thread with a TUN, or sockets of Node's. The daemon knows nothing else of drivers.
 * All failures that people can put right are WirestreamErrors.
 */
export interface TunnelHost {
  /** which driver it is, for people */
  readonly driver: DriverName;
  /** Makes the interface and the sockets and applies the settings. After a failure nothing is left open. */
  start(options: HostOptions): Promise<void>;
  configure(settings: DeviceSettings): Promise<void>;
  snapshot(): Promise<DeviceSnapshot>;
  /** Closes everything; resolves when no socket and no interface is left. Also after `fatal`. */
  stop(): Promise<void>;
  /** `fatal`: the tunnel has ended by itself, since the interface was removed or something broke. At most once. */
  on(event: 'fatal', listener: (error: Error) => void): unknown;
}

export const DRIVERS = ['linux', 'portable'] as const;
export type DriverName = (typeof DRIVERS)[number];

/** Whether a driver makes a network interface, which then wants addresses and routes. */
export function makesInterface(driver: DriverName): boolean {
  return driver === 'linux';
}

/** @throws WirestreamError no-driver */
export async function createHost(driver: DriverName): Promise<TunnelHost> {
  if (driver === 'portable') return new (await import('./portablehost.js')).PortableHost();
  if (process.platform !== 'linux') {
    throw new WirestreamError(
      'no-driver',
      `the linux driver does not run on ${process.platform}`,
      'use --driver portable',
    );
  }
  return new (await import('./linuxhost.js')).LinuxHost();
}
