import type { CaptureFeed } from '@wirestream/core/capture/live/captures';
import type { TapOptions } from '@wirestream/core/capture/live/encoder';
import type { DeviceSettings } from '@wirestream/core/device/settings';
import type { DeviceSnapshot } from '@wirestream/core/device/snapshot';
import { WirestreamError } from '@wirestream/core/device/errors';
import type { Forward, HostPort, RemoteForward } from '@wirestream/core/userspace/forward';
import type { AllowRule } from '@wirestream/core/userspace/rules';
import type { FlowSnapshot } from '@wirestream/core/userspace/snapshot';

/** What a host is started with. */
export interface HostOptions {
  /** of the network interface, where the driver makes one */
  readonly name: string;
  /** of the inner interface, bytes */
  readonly mtu: number;
  readonly settings: DeviceSettings;
  /** whether to ask the kernel for TUN offload; yes when absent */
  readonly offload?: boolean;
  /** a TUN that somebody else opened, instead of one to be made (linux driver) */
  readonly tunFd?: number;
  /** the file to append a Wireshark key log to; without it none is made */
  readonly keyLogFile?: string;
  /** what the user-space stack is to do, where there is one */
  readonly user?: UserOptions;
}

/** Of a tunnel without an interface. Plain data. */
export interface UserOptions {
  /** our addresses inside the tunnel */
  readonly addresses: readonly { readonly bytes: Uint8Array }[];
  /** what peers may reach from here */
  readonly allow: readonly AllowRule[];
  /** everything */
  readonly exit: boolean;
  readonly forwards: readonly Forward[];
  readonly remoteForwards: readonly RemoteForward[];
  /** where a SOCKS5 proxy into the tunnel listens */
  readonly socks5?: HostPort;
  /** name servers inside the tunnel that names are looked up with; without, this host looks them up. 4 or 16 bytes each */
  readonly nameServers?: readonly Uint8Array[];
}

/** What only a tunnel with a user-space stack can do. */
export interface UserSide {
  flows(): FlowSnapshot[];
  /** Sends an echo request from our tunnel address. @returns the round-trip time, ms */
  ping(address: string, options: { timeout?: number; size?: number }): Promise<number>;
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
  /** Watches the device. @param ready is called when there is something to take again */
  capture(options: TapOptions, ready: () => void): Promise<CaptureFeed>;
  /** Closes everything; resolves when no socket and no interface is left. Also after `fatal`. */
  stop(): Promise<void>;
  /** null where a network interface does that work */
  readonly user: UserSide | null;
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
  if (driver === 'portable') return new (await import('./rootlesshost.js')).RootlessHost();
  if (process.platform !== 'linux') {
    throw new WirestreamError(
      'no-driver',
      `the linux driver does not run on ${process.platform}`,
      'use --driver portable',
    );
  }
  return new (await import('./linuxhost.js')).LinuxHost();
}
