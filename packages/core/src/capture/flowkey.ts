import { formatIp } from '../address/ip.js';
import { u16 } from './feed.js';
import type { IpView } from './ipview.js';

/**
 * The name of the flow that a packet belongs to: both addresses and ports, the same for both directions. Names are short
 * strings because V8 hashes strings with a secret seed, so nobody can make a capture whose flows all collide.
 */
export class FlowKey {
  key = '';
  /** whether the packet's source comes second in `key` */
  swapped = false;

  set(view: IpView, bytes: Uint8Array): void {
    const length = view.addressLength;
    this.swapped = isAfter(view, bytes);
    const first = this.swapped ? view.destinationAddress : view.sourceAddress;
    const second = this.swapped ? view.sourceAddress : view.destinationAddress;
    const firstPort = this.swapped ? view.destinationPort : view.sourcePort;
    const secondPort = this.swapped ? view.sourcePort : view.destinationPort;
    if (length === 4) {
      this.key = String.fromCharCode(
        u16(bytes, first, false),
        u16(bytes, first + 2, false),
        u16(bytes, second, false),
        u16(bytes, second + 2, false),
        firstPort,
        secondPort,
      );
      return;
    }
    let key = String.fromCharCode(firstPort, secondPort);
    for (let i = 0; i < 16; i += 2)
      key += String.fromCharCode(u16(bytes, first + i, false), u16(bytes, second + i, false));
    this.key = key;
  }
}

function isAfter(view: IpView, bytes: Uint8Array): boolean {
  for (let i = 0; i < view.addressLength; i++) {
    const difference = bytes[view.sourceAddress + i]! - bytes[view.destinationAddress + i]!;
    if (difference !== 0) return difference > 0;
  }
  return view.sourcePort > view.destinationPort;
}

/** One end of a flow: its address and port, once as text for people and once in pieces. */
export interface FlowEnd {
  readonly address: string;
  readonly port: number;
  /** `1.2.3.4:5` or `[fd00::1]:5` */
  readonly text: string;
}

export function sourceOf(view: IpView, bytes: Uint8Array): FlowEnd {
  return endOf(bytes, view.sourceAddress, view.addressLength, view.sourcePort);
}

export function destinationOf(view: IpView, bytes: Uint8Array): FlowEnd {
  return endOf(bytes, view.destinationAddress, view.addressLength, view.destinationPort);
}

function endOf(bytes: Uint8Array, offset: number, length: number, port: number): FlowEnd {
  const address = formatIp(bytes, offset, length);
  return { address, port, text: length === 4 ? `${address}:${port}` : `[${address}]:${port}` };
}
