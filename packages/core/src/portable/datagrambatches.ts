import type { DatagramSink } from '../device/driver.js';
import type { Device } from '../device/device.js';

/**
 * UDP by many datagrams at a time, which node:dgram has no way to ask for: a system call for each is most of what a tunnel over UDP costs. Native code does it
 * where there is some (linux/datagrambatches.ts). Sockets are watched by node:dgram all the same: it reads the first datagram
 * of a burst, and the rest is taken from here.
 */
export interface DatagramBatches extends DatagramSink {
  /** datagrams that could not be sent */
  readonly sendFailures: number;
  /** Opens a socket that no one reads yet. @returns its descriptor, or the negative error number */
  open(family: 4 | 6, port: number, address: string): number;
  /** From now on these are sent from; -1 for a family that there is none of. */
  use(udp4: number, udp6: number): void;
  /** Reads what waits at a socket, up to a bound. */
  receive(now: number, fd: number, taker: Pick<Device, 'datagram'>): void;
  /** Sends what was committed. */
  flush(): void;
}
