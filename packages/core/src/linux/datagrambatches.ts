import type { DatagramBatches } from '../portable/datagrambatches.js';
import { bindUdp } from './sockets.js';
import { UdpSockets } from './udpsockets.js';

/**
 * The UDP sockets for the portable driver. What is sent in a row to one peer leaves as one message that the kernel cuts; what arrives is not put together, since
 * node:dgram, which reads now and then too, could not tell where one datagram ends.
 */
export class LinuxDatagramBatches extends UdpSockets implements DatagramBatches {
  constructor() {
    super(true, false);
  }

  open(family: 4 | 6, port: number, address: string): number {
    return bindUdp(family, port, 0, address);
  }
}
