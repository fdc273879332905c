import { Deadlines, type Scheduled } from '../device/deadlines.js';
import { virtioSegment, VIRTIO_HEADER } from '../offload/virtio.js';
import { SlabPool } from '../slab/pool.js';
import { Slab } from '../slab/slab.js';
import { Buffers } from './buffers.js';
import { finish, sum } from './checksum.js';
import { Draw } from './draw.js';
import { PacketSender } from './fragments.js';
import { IcmpError } from './icmp/errors.js';
import { ICMP_HEADER, IcmpSender, unreachableFor } from './icmp/icmp.js';
import { isEcho, isEchoReply, Ping, Pings } from './icmp/pings.js';
import { IpPacket, PROTOCOL_ICMP, PROTOCOL_ICMPV6, PROTOCOL_TCP, PROTOCOL_UDP } from './ippacket.js';
import type { FlowLimits } from './limits.js';
import type { ConnectFailure, StackHost } from './native.js';
import type { Policy } from './policy.js';
import { Reassembly } from './reassembly.js';
import { isMartian } from './rules.js';
import { listFlows, type FlowSnapshot } from './snapshot.js';
import { TcpFlow } from './tcp/flow.js';
import { TcpFlows } from './tcp/flows.js';
import type { UdpFlow } from './udp/flow.js';
import { UdpFlows } from './udp/flows.js';

/**
 * The user-space end of a tunnel: what a TUN device and a kernel's network stack are otherwise.
 *
 * Theory of operation. Inner packets from peers come in through `packet`; TCP and UDP flows are translated to native connections and sockets (tcp/, udp/),
 * echo requests to our addresses are answered, everything else is refused the way a kernel would refuse it. The native side's news comes in through the
 * methods of `tcp` and `udp`. What the stack wants done goes out through `StackHost`; packets that flows have to send are made in `flush`, which the
 * driver calls at the end of its turn. There is no clock and no socket here: `nextWakeAt` says when `wake` wants to be called.
 */

/** Bytes that may wait for native sides, all flows together. */
const RECEIVE_BUDGET = 64 << 20;
/** of the buffers that it is made of: a turn's worth of one flow */
const BUFFER_SIZE = 64 * 1024;
/** Longest packet, twice, with room for padding: the second half is for cutting it up. */
const OUT_SIZE = 2 * 66 * 1024;
/** How often flows that wait for room on their path are looked at when nothing else happens, ms. */
const BLOCKED_POLL = 20;

export interface StackOptions {
  /** of the inner interface, bytes */
  readonly mtu: number;
  readonly limits: FlowLimits;
  readonly policy: Policy;
  /** our tunnel addresses, 4 or 16 bytes each */
  readonly addresses: readonly Uint8Array[];
  /** makes the memory that packets are sent from; plain memory when absent */
  readonly makeSlab?: (size: number) => Slab;
}

/** Counters of packets that were for nobody. */
export interface StackCounters {
  malformed: number;
  /** protocols other than TCP, UDP and ICMP */
  unknown: number;
  fragments: number;
}

export class UserStack {
  readonly tcp: TcpFlows;
  readonly udp: UdpFlows;
  readonly pings: Pings;
  readonly counters: StackCounters = { malformed: 0, unknown: 0, fragments: 0 };
  readonly #pool = new SlabPool(BUFFER_SIZE);
  readonly #buffers = new Buffers(this.#pool, RECEIVE_BUDGET);
  readonly #packet = new IpPacket();
  readonly #reassembly = new Reassembly();
  readonly #error = new IcmpError();
  readonly #deadlines = new Deadlines<Scheduled>();
  readonly #icmp: IcmpSender;

  constructor(
    readonly host: StackHost,
    private readonly options: StackOptions,
  ) {
    const { policy, mtu, limits } = options;
    const out = (options.makeSlab ?? Slab.plain)(OUT_SIZE);
    const draw = new Draw((bytes) => host.random(bytes));
    const sender = new PacketSender(host, out, mtu, draw);
    this.#icmp = new IcmpSender(out, sender);
    const shared = { host, out, packet: this.#packet, deadlines: this.#deadlines, draw, limits };
    this.tcp = new TcpFlows({
      ...shared,
      mtu,
      buffers: this.#buffers,
      decide: (address, port) => {
        const decision = policy.decide('tcp', address, port);
        return decision === 'closed' ? 'reset' : decision;
      },
      prohibit: (now) => this.#refuse(now, 'prohibited'),
      unreachable: (now, flow, failure) => this.#unreachable(now, flow, failure),
    });
    this.udp = new UdpFlows({
      ...shared,
      sender,
      decide: (address, port) => {
        const decision = policy.decide('udp', address, port);
        return decision === 'closed' ? 'unreachable' : decision;
      },
      refuse: (now, how) => this.#refuse(now, how === 'unreachable' ? 'port-unreachable' : 'prohibited'),
      unreachable: (now, flow, failure) => this.#unreachable(now, flow, failure),
    });
    this.pings = new Pings(this.#icmp, this.#deadlines, draw);
  }

  // ---- from the inner side

  /** An inner packet of `length` bytes at `offset` came from a peer. */
  packet(now: number, slab: Slab, offset: number, length: number): void {
    const packet = this.#packet;
    packet.vectorSum = slab.vectorSum;
    if (!packet.parse(slab.view, offset, length)) {
      this.counters.malformed++;
      return;
    }
    if (packet.isFragment) {
      this.counters.fragments++;
      const whole = this.#reassembly.add(now, packet);
      packet.vectorSum = null;
      if (whole === 0 || !packet.parse(this.#reassembly.slab.view, 0, whole)) return;
    }
    switch (packet.protocol) {
      case PROTOCOL_TCP:
        return this.tcp.packet(now);
      case PROTOCOL_UDP:
        return this.udp.packet(now);
      case PROTOCOL_ICMP:
      case PROTOCOL_ICMPV6:
        if ((packet.protocol === PROTOCOL_ICMP) === (packet.version === 4)) return this.#icmpPacket(now);
    }
    this.counters.unknown++;
  }

  /** An offload record came from a peer, checked (offload/record.ts): `length` bytes at `offset`, virtio-net header first. */
  superPacket(now: number, slab: Slab, offset: number, length: number): void {
    const packet = this.#packet;
    packet.vectorSum = slab.vectorSum;
    if (packet.parse(slab.view, offset + VIRTIO_HEADER, length - VIRTIO_HEADER)) {
      this.tcp.packet(now, virtioSegment(slab, offset));
    } else this.counters.malformed++;
  }

  #icmpPacket(now: number): void {
    const packet = this.#packet;
    const { view, payload, payloadLength } = packet;
    const pseudo = packet.version === 6 ? packet.pseudoSum(payloadLength) : 0;
    if (payloadLength < ICMP_HEADER || finish(pseudo + sum(view, payload, payloadLength)) !== 0) {
      this.counters.malformed++;
      return;
    }
    const type = view.getUint8(payload);
    if (isEchoReply(packet.version, type)) return this.pings.reply(now, packet);
    if (isEcho(packet.version, type)) return this.#echo(now, packet);
    if (!this.#error.parse(packet)) return;
    if (this.#error.protocol === PROTOCOL_TCP) this.tcp.icmpError(packet, this.#error);
    else this.udp.icmpError(packet, this.#error);
  }

  /** Our addresses answer themselves; others are asked by whatever means the host has, if they may be reached at all. */
  #echo(now: number, packet: IpPacket): void {
    const destination = packet.destinationAddress();
    const { policy } = this.options;
    if (policy.isOwn(destination)) return this.#icmp.echoReply(packet);
    if (!policy.mayPing(destination)) {
      if (!isMartian(destination)) this.#refuse(now, 'prohibited');
      return;
    }
    const reply = this.#icmp.replyLater(packet);
    if (!this.host.echo(destination, reply.dataLength, reply.send)) this.#refuse(now, 'prohibited');
  }

  // ---- turns and time

  /** Sends what flows have to send. The driver calls it at the end of each of its turns. */
  flush(now: number): void {
    this.tcp.flush(now);
  }

  /** When `wake` wants to be called; Infinity when nothing is going on. */
  nextWakeAt(now: number): number {
    const at = this.#deadlines.first?.deadline ?? Infinity;
    return this.tcp.isBlocked ? Math.min(at, now + BLOCKED_POLL) : at;
  }

  /** Acts on everything that is due. */
  wake(now: number): void {
    for (;;) {
      const first = this.#deadlines.first;
      if (first === undefined || first.deadline > now) break;
      this.#deadlines.remove(first);
      if (first instanceof TcpFlow) this.tcp.wake(now, first);
      else if (first instanceof Ping) this.pings.wake(first);
      else this.udp.wake(now, first as UdpFlow);
    }
    this.flush(now);
  }

  // ---- the whole

  /** The address that packets of ours to `destination` come from, or null when we have none of that family. */
  sourceFor(destination: Uint8Array): Uint8Array | null {
    return this.options.addresses.find((own) => own.length === destination.length) ?? null;
  }

  /** Buffers that hold data for native sides; 0 when none is waiting. */
  get buffersInUse(): number {
    return this.#buffers.out;
  }

  flows(now: number): FlowSnapshot[] {
    return listFlows(now, this.tcp.table.values(), this.udp.table.values());
  }

  /** Ends all flows; the inner sides are told, as far as that is possible at once. */
  close(): void {
    this.tcp.close();
    this.udp.close();
    this.pings.close();
    this.#reassembly.clear();
    this.#pool.clear();
  }

  // ---- refusals

  #refuse(now: number, why: 'port-unreachable' | 'prohibited'): void {
    const packet = this.#packet;
    const own = this.sourceFor(packet.sourceAddress()) ?? packet.destinationAddress();
    this.#icmp.unreachable(now, own, packet, why);
  }

  #unreachable(now: number, flow: TcpFlow | UdpFlow, failure: ConnectFailure): void {
    const why = unreachableFor(failure);
    if (why === null) return;
    const quoted = {
      protocol: flow.ip.protocol,
      source: flow.remote,
      destination: flow.local,
      sourcePort: flow.remotePort,
      destinationPort: flow.localPort,
      sequence: flow instanceof TcpFlow ? flow.irs : 0,
    };
    this.#icmp.unreachableQuoted(now, this.sourceFor(flow.remote) ?? flow.local, quoted, why);
  }
}
