import type { Deadlines, Scheduled } from '../../device/deadlines.js';
import type { Slab } from '../../slab/slab.js';
import { copyAndSum, finish, sum } from '../checksum.js';
import type { Draw } from '../draw.js';
import { FlowTable } from '../flowtable.js';
import type { PacketSender } from '../fragments.js';
import type { IcmpError } from '../icmp/errors.js';
import type { IpPacket } from '../ippacket.js';
import type { FlowLimits } from '../limits.js';
import type { ConnectFailure, NativeDatagrams, Path, StackHost, Target } from '../native.js';
import { Tally } from '../tally.js';
import { UdpFlow } from './flow.js';

export const UDP_HEADER = 8;

/**
 * UDP flows: every pair of inner and other endpoint has a native socket of its own, connected to its other end, so that errors come back to
 * the flow they belong to. Theory of operation: a datagram of a new pair makes a flow if the policy allows it; each datagram either way
 * keeps it alive; silence ends it.
 */
export interface UdpSurroundings {
  readonly host: StackHost;
  readonly out: Slab;
  readonly packet: IpPacket;
  readonly deadlines: Deadlines<Scheduled>;
  readonly draw: Draw;
  readonly limits: FlowLimits;
  readonly sender: PacketSender;
  decide(address: Uint8Array, port: number): Target | 'unreachable' | 'prohibited' | 'ignore';
  /** sends an ICMP error about the packet that is being looked at */
  refuse(now: number, how: 'unreachable' | 'prohibited'): void;
  /** sends an ICMP error about a datagram of the flow that met one outside */
  unreachable(now: number, flow: UdpFlow, failure: ConnectFailure): void;
}

export interface UdpCounters {
  opened: number;
  refused: number;
  overflow: number;
  malformed: number;
  /** datagrams that were longer than IP allows, or found the path full */
  dropped: number;
}

/** Largest UDP payload (RFC 768 over IPv4: 65535 − 20 − 8). */
export const DATAGRAM_MAX = 65_507;

export class UdpFlows {
  readonly table: FlowTable<UdpFlow>;
  readonly counters: UdpCounters = { opened: 0, refused: 0, overflow: 0, malformed: 0, dropped: 0 };
  readonly #byPeer = new Tally<Path>();

  constructor(private readonly stack: UdpSurroundings) {
    this.table = new FlowTable(stack.draw.uint32());
  }

  /** The stack's packet holds a UDP datagram. */
  packet(now: number): void {
    const { packet } = this.stack;
    const { view, payload: at, payloadLength: available } = packet;
    const length = available >= UDP_HEADER ? view.getUint16(at + 4) : 0;
    if (length < UDP_HEADER || length > available || !this.#verify(packet, length)) {
      this.counters.malformed++;
      return;
    }
    const remotePort = view.getUint16(at);
    const localPort = view.getUint16(at + 2);
    const flow =
      this.table.find(view, packet.destination, packet.source, packet.addressLength, localPort, remotePort) ??
      this.#begin(now, localPort, remotePort);
    if (flow === null) return;
    flow.lastActivity = now;
    flow.fromInner += length - UDP_HEADER;
    flow.native?.send(new Uint8Array(view.buffer, view.byteOffset + at + UDP_HEADER, length - UDP_HEADER));
  }

  /** Zero means no checksum, in IPv4 only (RFC 768, RFC 8200 §8.1). */
  #verify(packet: IpPacket, length: number): boolean {
    const { view, payload: at } = packet;
    if (view.getUint16(at + 6) === 0) return packet.version === 4;
    return finish(packet.pseudoSum(length) + sum(view, at, length, packet.vectorSum)) === 0;
  }

  #begin(now: number, localPort: number, remotePort: number): UdpFlow | null {
    const { packet, host, limits } = this.stack;
    const local = packet.destinationAddress();
    const remote = packet.sourceAddress();
    const target = this.stack.decide(local, localPort);
    if (typeof target === 'string') {
      if (target === 'ignore') return null;
      this.counters.refused++;
      this.stack.refuse(now, target);
      return null;
    }
    const path = host.path(remote);
    if (
      path === null ||
      this.table.size >= limits.datagramFlows ||
      this.#byPeer.get(path) >= limits.datagramFlowsPerPeer
    ) {
      this.counters.overflow++;
      return null;
    }
    const flow = new UdpFlow('inner', local, remote, localPort, remotePort, path, now);
    flow.native = host.openDatagrams(flow, target);
    if (flow.native === null) {
      this.counters.overflow++;
      return null;
    }
    this.#byPeer.add(path, 1);
    this.#add(flow);
    return flow;
  }

  /**
   * Something on the native side wants to exchange datagrams with an endpoint inside the tunnel.
   * @returns the flow, or why there is none; `native` hears of nothing in that case
   */
  open(
    now: number,
    local: Uint8Array,
    remote: Uint8Array,
    remotePort: number,
    native: NativeDatagrams,
  ): UdpFlow | ConnectFailure {
    const path = this.stack.host.path(remote);
    if (path === null) return 'unreachable';
    if (this.table.size >= this.stack.limits.datagramFlows) return 'no-resources';
    const port = this.stack.draw.port((candidate) => this.table.get(local, remote, candidate, remotePort) === null);
    if (port === 0) return 'no-resources';
    const flow = new UdpFlow('native', local, remote, port, remotePort, path, now);
    flow.native = native;
    this.#add(flow);
    return flow;
  }

  #add(flow: UdpFlow): void {
    this.counters.opened++;
    this.table.add(flow);
    this.stack.deadlines.set(flow, flow.createdAt + flow.timeout);
  }

  /** The native side has a datagram for the inner one. */
  datagram(now: number, flow: UdpFlow, bytes: Uint8Array): void {
    if (flow.native === null) return;
    flow.lastActivity = now;
    const length = bytes.length + UDP_HEADER;
    if (bytes.length > DATAGRAM_MAX || flow.path.room() < length) {
      this.counters.dropped++;
      return;
    }
    flow.toInner += bytes.length;
    const { view } = this.stack.out;
    const at = flow.ip.length;
    const from = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    const dataSum = copyAndSum(from, 0, view, at + UDP_HEADER, bytes.length);
    view.setUint16(at, flow.localPort);
    view.setUint16(at + 2, flow.remotePort);
    view.setUint16(at + 4, length);
    view.setUint16(at + 6, 0);
    const checksum = finish(flow.ip.pseudoSum(length) + sum(view, at, UDP_HEADER) + dataSum);
    // A sum of zero is sent as its other representation (RFC 768).
    view.setUint16(at + 6, checksum === 0 ? 0xffff : checksum, true);
    this.stack.sender.send(flow.ip, length);
  }

  /** An ICMP error came in about a datagram of ours: nobody inside wants what the flow brings, or can be told. */
  icmpError(packet: IpPacket, error: IcmpError): void {
    const { source, destination, sourcePort, destinationPort } = error;
    const flow = this.table.find(packet.view, source, destination, packet.addressLength, sourcePort, destinationPort);
    if (flow !== null && error.failure === 'refused') this.remove(flow);
  }

  /** The native side met an error. */
  failed(now: number, flow: UdpFlow, failure: ConnectFailure): void {
    if (flow.native !== null && flow.origin === 'inner') this.stack.unreachable(now, flow, failure);
  }

  /** The native side of a flow is gone. */
  closed(flow: UdpFlow): void {
    flow.native = null;
    this.remove(flow);
  }

  wake(now: number, flow: UdpFlow): void {
    const at = flow.lastActivity + flow.timeout;
    if (now < at) this.stack.deadlines.set(flow, at);
    else this.remove(flow);
  }

  remove(flow: UdpFlow): void {
    flow.native?.close();
    flow.native = null;
    this.stack.deadlines.remove(flow);
    if (this.table.remove(flow) && flow.origin === 'inner') this.#byPeer.add(flow.path, -1);
  }

  close(): void {
    for (const flow of [...this.table.values()]) this.remove(flow);
  }
}
