import { parseIp } from '../../src/address/ip.js';
import { offloadRecordLength } from '../../src/offload/record.js';
import { Slab } from '../../src/slab/slab.js';
import { flowLimits, type FlowLimits } from '../../src/userspace/limits.js';
import type {
  ConnectFailure,
  NativeDatagrams,
  NativeStream,
  Path,
  StackHost,
  Target,
} from '../../src/userspace/native.js';
import { Policy } from '../../src/userspace/policy.js';
import { ALLOW_ALL, type AllowRule } from '../../src/userspace/rules.js';
import type { RemoteForward } from '../../src/userspace/forward.js';
import { UserStack } from '../../src/userspace/stack.js';
import type { TcpFlow } from '../../src/userspace/tcp/flow.js';
import type { UdpFlow } from '../../src/userspace/udp/flow.js';
import { slowSegment } from '../linux/offload/packets.js';
import { readTcp, tcpPacket, type Seg } from './segments.js';

export const PEER = [10, 0, 0, 1];
export const OWN = [10, 0, 0, 2];

/** A native side that does nothing by itself and remembers everything. */
export class FakeNative implements NativeStream {
  flow: TcpFlow | null = null;
  readonly calls: string[] = [];
  /** what was written, copied, and how much of it was confirmed */
  readonly chunks: Uint8Array[] = [];
  writtenBytes = 0;
  confirmed = 0;
  paused = false;
  /** memory handed over and not confirmed yet: must not change */
  readonly held: { view: Uint8Array; copy: Uint8Array }[] = [];

  constructor(readonly target: Target | null = null) {}

  write(bytes: Uint8Array): void {
    const copy = bytes.slice();
    this.chunks.push(copy);
    this.held.push({ view: bytes, copy });
    this.writtenBytes += bytes.length;
  }
  end(): void {
    this.calls.push('end');
  }
  reset(): void {
    this.calls.push('reset');
  }
  close(): void {
    this.calls.push('close');
  }
  pause(): void {
    this.paused = true;
  }
  resume(): void {
    this.paused = false;
  }
  established(): void {
    this.calls.push('established');
  }
  failed(reason: ConnectFailure): void {
    this.calls.push(`failed ${reason}`);
  }

  get bytes(): Uint8Array {
    return concat(this.chunks);
  }
}

/** A super-packet that every receiver would take. */
function checkedRecord(bytes: Uint8Array): Uint8Array {
  const slab = Slab.plain(70_000);
  slab.bytes.set(bytes);
  if (offloadRecordLength(slab, 0, bytes.length) !== bytes.length) throw new Error('a bad offload record');
  return bytes;
}

/** The segments that it stands for. */
export function cutUp(bytes: Uint8Array): Uint8Array[] {
  const view = new DataView(checkedRecord(bytes).buffer);
  const number = (at: number) => view.getUint16(at, true);
  const virtio = { flags: bytes[0]!, gsoType: bytes[1]!, hdrLen: number(2), gsoSize: number(4) };
  return slowSegment({ ...virtio, csumStart: number(6), csumOffset: number(8) }, bytes.slice(10));
}

export function concat(chunks: readonly Uint8Array[]): Uint8Array {
  const out = new Uint8Array(chunks.reduce((sum, chunk) => sum + chunk.length, 0));
  let at = 0;
  for (const chunk of chunks) {
    out.set(chunk, at);
    at += chunk.length;
  }
  return out;
}

export interface WorldOptions {
  mtu?: number;
  rules?: AllowRule[];
  forwards?: RemoteForward[];
  limits?: Partial<FlowLimits>;
  addresses?: Uint8Array[];
  /** whether the path takes super-packets, and whether they come out of it cut up, or whole; 'refused' when it says that it does, and then does not */
  supers?: 'cut' | 'whole' | 'refused';
  /** of the random numbers: the initial sequence numbers among them */
  random?: (out: Uint8Array) => void;
}

/** A stack with the clock, the network and the native sides in the test's hands. */
export class World implements StackHost {
  now = 1_000;
  /** packets sent and not looked at yet */
  readonly out: Uint8Array[] = [];
  readonly natives: FakeNative[] = [];
  readonly datagrams: { flow: UdpFlow; target: Target; sent: Uint8Array[]; closed: boolean }[] = [];
  /** bytes that the path takes before it is full */
  room = Infinity;
  /** super-packets sent */
  superPackets = 0;
  readonly policy: Policy;
  readonly stack: UserStack;
  readonly #slab = Slab.plain(70_000);
  #state = 12345;

  constructor(private readonly options: WorldOptions = {}) {
    const addresses = options.addresses ?? [Uint8Array.from(OWN), parseIp('fd00::2')!];
    this.policy = new Policy(addresses, options.rules ?? [ALLOW_ALL], options.forwards ?? []);
    this.stack = new UserStack(this, {
      mtu: options.mtu ?? 1420,
      addresses,
      limits: { ...flowLimits(4096), ...options.limits },
      policy: this.policy,
    });
  }

  // ---- StackHost

  send(slab: Slab, offset: number, length: number): void {
    this.out.push(slab.bytes.slice(offset, offset + length));
    // What the contract permits: whoever takes the packet may write behind it.
    slab.bytes.fill(0xee, offset + length, Math.min(slab.size, offset + length + 15));
    this.room -= length;
  }

  sendSuper(slab: Slab, offset: number, length: number): boolean {
    if (this.options.supers === 'refused') return false;
    const bytes = slab.bytes.slice(offset, offset + length);
    slab.bytes.fill(0xee, offset + length, Math.min(slab.size, offset + length + 15));
    this.out.push(...(this.options.supers === 'whole' ? [checkedRecord(bytes)] : cutUp(bytes)));
    this.room -= length;
    this.superPackets++;
    return true;
  }

  readonly #path: Path = { room: () => this.room, takesSuper: () => this.options.supers !== undefined };

  path(): Path {
    return this.#path;
  }

  random(out: Uint8Array): void {
    if (this.options.random !== undefined) return this.options.random(out);
    for (let i = 0; i < out.length; i++) {
      this.#state = (Math.imul(this.#state, 1103515245) + 12345) >>> 0;
      out[i] = this.#state >>> 16;
    }
  }

  openStream(flow: TcpFlow, target: Target): NativeStream {
    const native = new FakeNative(target);
    native.flow = flow;
    this.natives.push(native);
    return native;
  }

  openDatagrams(flow: UdpFlow, target: Target): NativeDatagrams {
    const record = { flow, target, sent: [] as Uint8Array[], closed: false };
    this.datagrams.push(record);
    return {
      send: (bytes) => void record.sent.push(bytes.slice()),
      close: () => {
        record.closed = true;
      },
    };
  }

  readonly echoes: { destination: Uint8Array; dataLength: number; answered: () => void }[] = [];
  /** whether the host can ask for echoes */
  canEcho = true;

  echo(destination: Uint8Array, dataLength: number, answered: () => void): boolean {
    if (this.canEcho) this.echoes.push({ destination, dataLength, answered });
    return this.canEcho;
  }

  // ---- the test's hands

  /** One packet comes in, or several in one turn. */
  receive(...packets: Uint8Array[]): void {
    for (const packet of packets) {
      const at = 8 * (packets.indexOf(packet) % 3);
      this.#slab.bytes.fill(0xdd);
      this.#slab.bytes.set(packet, at);
      if (packet[0] === 1) this.stack.superPacket(this.now, this.#slab, at, checkedRecord(packet).length);
      else this.stack.packet(this.now, this.#slab, at, packet.length);
      // The memory is the driver's again after the call.
      this.#slab.bytes.fill(0xcc);
    }
    this.turn();
  }

  turn(event: (now: number) => void = () => undefined): void {
    event(this.now);
    this.stack.wake(this.now);
  }

  /** Lets time pass, waking the stack whenever it asks for it. */
  pass(ms: number): void {
    const end = this.now + ms;
    for (let n = 0; ; n++) {
      const at = this.stack.nextWakeAt(this.now);
      if (at > end) break;
      if (n > 100_000) throw new Error('the stack never comes to rest');
      this.now = Math.max(this.now, at);
      this.turn();
    }
    this.now = end;
  }

  /** What was sent since the last call, as TCP segments. */
  sent(): Seg[] {
    return this.out.splice(0).map(readTcp);
  }

  /** The native side confirms what it was given: all, or `count` bytes. */
  confirm(native: FakeNative, count = native.writtenBytes - native.confirmed): void {
    let left = count;
    while (left > 0) {
      const first = native.held[0]!;
      if (!first.view.every((byte, i) => byte === first.copy[i])) throw new Error('memory changed under a write');
      if (first.view.length > left) {
        native.held[0] = { view: first.view.subarray(left), copy: first.copy.subarray(left) };
        break;
      }
      left -= first.view.length;
      native.held.shift();
    }
    native.confirmed += count;
    this.turn((now) => this.stack.tcp.taken(now, native.flow!, count));
  }
}

/** One end of a TCP connection as a test plays it: the peer's. */
export class PeerSide {
  readonly iss: number;
  /** of the stack */
  irs = 0;
  constructor(
    readonly world: World,
    readonly options: {
      port?: number;
      localPort?: number;
      iss?: number;
      window?: number;
      mss?: number;
      scale?: number;
      sackPermitted?: boolean;
    } = {},
  ) {
    this.iss = options.iss ?? 5_000;
  }

  packet(seg: Partial<Seg>): Uint8Array {
    const { port = 80, localPort = 40_000, window = 65_535 } = this.options;
    return tcpPacket(PEER, OWN, { src: localPort, dst: port, window, ...seg });
  }

  /** Sequence and acknowledgement numbers of stream offsets. */
  seq(offset: number): number {
    return (this.iss + 1 + offset) >>> 0;
  }
  ack(offset: number): number {
    return (this.irs + 1 + offset) >>> 0;
  }
  /** The offset that the stack's acknowledgement number means. */
  acked(seg: Seg): number {
    return (seg.ack - this.seq(0)) | 0;
  }
  /** The offset that its sequence number means. */
  at(seg: Seg): number {
    return (seg.seq - this.ack(0)) | 0;
  }

  syn(): void {
    const { mss = 1380, scale, sackPermitted } = this.options;
    this.world.receive(
      this.packet({
        flags: 'S',
        seq: this.iss,
        mss,
        ...(scale === undefined ? {} : { scale }),
        ...(sackPermitted === true ? { sackPermitted } : {}),
      }),
    );
  }

  /** SYN, native connect, SYN-ACK, ACK. @returns the native side */
  open(): FakeNative {
    this.syn();
    const native = this.world.natives.at(-1)!;
    this.world.turn((now) => this.world.stack.tcp.connected(now, native.flow!));
    const synAck = this.world.sent().findLast((seg) => seg.flags === 'SA');
    this.irs = synAck!.seq;
    this.send({ flags: 'A' });
    return native;
  }

  /** A segment at the given offsets of both streams. */
  send(seg: Partial<Seg> & { offset?: number; acked?: number }): void {
    this.world.receive(this.segment(seg));
  }

  segment(seg: Partial<Seg> & { offset?: number; acked?: number }): Uint8Array {
    const { offset = 0, acked = 0, ...rest } = seg;
    return this.packet({ flags: 'A', seq: this.seq(offset), ack: this.ack(acked), ...rest });
  }
}

export function bytesOf(length: number, from = 0): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => ((from + i) * 31 + ((from + i) >> 8)) & 255);
}
