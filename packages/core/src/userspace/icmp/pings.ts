import type { Deadlines, Scheduled } from '../../device/deadlines.js';
import type { Draw } from '../draw.js';
import { Icmp4, Icmp6, ICMP_HEADER, type IcmpSender } from './icmp.js';
import type { IpPacket } from '../ippacket.js';

/** Echo requests of ours that may be waiting for an answer. */
const PINGS_MAX = 4_096;

/** One echo request of ours. */
export class Ping implements Scheduled {
  deadline = Infinity;
  heapIndex = -1;

  constructor(
    readonly sequence: number,
    readonly destination: Uint8Array,
    readonly sentAt: number,
    /** called once, with the round trip in ms, or null when no answer came in time */
    readonly done: (roundTrip: number | null) => void,
  ) {}
}

/** Our own echo requests into the tunnel, and their answers. */
export class Pings {
  readonly #identifier: number;
  readonly #waiting = new Map<number, Ping>();
  #sequence = 0;

  constructor(
    private readonly icmp: IcmpSender,
    private readonly deadlines: Deadlines<Scheduled>,
    draw: Draw,
  ) {
    this.#identifier = draw.uint32() & 0xffff;
  }

  /**
   * Sends an echo request.
   * @param data bytes of padding
   * @returns false when too many are waiting
   */
  send(
    now: number,
    source: Uint8Array,
    destination: Uint8Array,
    data: number,
    timeout: number,
    done: (roundTrip: number | null) => void,
  ): boolean {
    if (this.#waiting.size >= PINGS_MAX) return false;
    do this.#sequence = (this.#sequence + 1) & 0xffff;
    while (this.#waiting.has(this.#sequence));
    const ping = new Ping(this.#sequence, destination, now, done);
    this.#waiting.set(ping.sequence, ping);
    this.deadlines.set(ping, now + timeout);
    this.icmp.echo(source, destination, this.#identifier, ping.sequence, data);
    return true;
  }

  /** An echo reply came in. */
  reply(now: number, packet: IpPacket): void {
    const { view, payload: at } = packet;
    if (packet.payloadLength < ICMP_HEADER || view.getUint16(at + 4) !== this.#identifier) return;
    const ping = this.#waiting.get(view.getUint16(at + 6));
    if (ping === undefined || !isFrom(packet, ping.destination)) return;
    this.#end(ping, now - ping.sentAt);
  }

  wake(ping: Ping): void {
    this.#end(ping, null);
  }

  close(): void {
    for (const ping of [...this.#waiting.values()]) this.#end(ping, null);
  }

  #end(ping: Ping, roundTrip: number | null): void {
    this.#waiting.delete(ping.sequence);
    this.deadlines.remove(ping);
    ping.done(roundTrip);
  }
}

/** Whether an ICMP message of that family is an echo request, or a reply. */
export function isEcho(family: 4 | 6, type: number): boolean {
  return type === (family === 4 ? Icmp4.echo : Icmp6.echo);
}

export function isEchoReply(family: 4 | 6, type: number): boolean {
  return type === (family === 4 ? Icmp4.echoReply : Icmp6.echoReply);
}

function isFrom(packet: IpPacket, address: Uint8Array): boolean {
  if (address.length !== packet.addressLength) return false;
  for (let i = 0; i < address.length; i++) {
    if (packet.view.getUint8(packet.source + i) !== address[i]) return false;
  }
  return true;
}
