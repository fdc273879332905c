import { isOffloadRecord, offloadRecordLength } from '@wirestream/core/offload/record';
import { Slab } from '@wirestream/core/slab/slab';
import { flowLimits } from '@wirestream/core/userspace/limits';
import type { ConnectFailure, NativeDatagrams, NativeStream, StackHost } from '@wirestream/core/userspace/native';
import { Policy } from '@wirestream/core/userspace/policy';
import { ALLOW_ALL } from '@wirestream/core/userspace/rules';
import { UserStack } from '@wirestream/core/userspace/stack';
import type { TcpFlow } from '@wirestream/core/userspace/tcp/flow';
import type { UdpFlow } from '@wirestream/core/userspace/udp/flow';
import { concat, noise } from '../arbitraries/bytes.js';
import { must, mustEqual } from '../target.js';

/** A program at one end of a flow: takes what is written to it after a while, and remembers it. */
export class Program implements NativeStream {
  flow: TcpFlow | null = null;
  readonly received: Uint8Array[] = [];
  readonly news: string[] = [];
  paused = false;
  #held: { view: Uint8Array; copy: Uint8Array }[] = [];

  write(bytes: Uint8Array): void {
    this.received.push(bytes.slice());
    this.#held.push({ view: bytes, copy: bytes.slice() });
  }
  end(): void {
    this.news.push('end');
  }
  reset(): void {
    this.news.push('reset');
  }
  close(): void {
    this.news.push('close');
  }
  pause(): void {
    this.paused = true;
  }
  resume(): void {
    this.paused = false;
  }
  established(): void {
    this.news.push('established');
  }
  failed(reason: ConnectFailure): void {
    this.news.push(`failed ${reason}`);
  }

  get isGone(): boolean {
    return this.news.some((what) => what === 'reset' || what === 'close' || what.startsWith('failed'));
  }

  get bytes(): Uint8Array {
    return concat(this.received);
  }

  /** Bytes that can be confirmed now: the oldest write. */
  confirmable(): number {
    const first = this.#held.shift();
    if (first === undefined) return 0;
    mustEqual(first.view, first.copy, 'memory that was handed over');
    return first.view.length;
  }
}

/** One stack, its world in the hands of the test. */
export class StackWorld implements StackHost {
  readonly out: Uint8Array[] = [];
  readonly programs: Program[] = [];
  readonly datagrams: { flow: UdpFlow; sent: Uint8Array[] }[] = [];
  readonly stack: UserStack;
  /** what becomes of native connects */
  refuses: ConnectFailure | null = null;
  now = 1_000;
  readonly #slab = Slab.plain(70_000);
  #drawn: number;

  /** @param supers whether the paths to peers take super-packets */
  constructor(
    addresses: readonly Uint8Array[],
    seed: number,
    private readonly supers = false,
  ) {
    this.#drawn = seed;
    const policy = new Policy(addresses, [ALLOW_ALL], []);
    this.stack = new UserStack(this, { mtu: 1420, addresses, limits: flowLimits(512), policy });
  }

  send(slab: Slab, offset: number, length: number): void {
    must(length > 0 && offset >= 0 && offset + length <= slab.size, 'a packet outside of its slab');
    this.out.push(slab.bytes.slice(offset, offset + length));
    slab.bytes.fill(0xee, offset + length, Math.min(slab.size, offset + length + 15));
  }
  path() {
    return { room: () => 1_000_000, takesSuper: () => this.supers };
  }
  sendSuper(slab: Slab, offset: number, length: number): boolean {
    mustEqual(offloadRecordLength(slab, offset, length), length, 'length of an offload record');
    this.send(slab, offset, length);
    return true;
  }
  random(out: Uint8Array): void {
    out.set(noise(out.length, this.#drawn++));
  }
  openStream(flow: TcpFlow): NativeStream {
    const program = new Program();
    program.flow = flow;
    this.programs.push(program);
    return program;
  }
  openDatagrams(flow: UdpFlow): NativeDatagrams {
    const entry = { flow, sent: [] as Uint8Array[] };
    this.datagrams.push(entry);
    return { send: (bytes) => void entry.sent.push(bytes.slice()), close: () => undefined };
  }
  echo(_destination: Uint8Array, _length: number, answered: () => void): boolean {
    answered();
    return true;
  }

  receive(packet: Uint8Array): void {
    this.#slab.bytes.set(packet, 8);
    if (isOffloadRecord(packet, 0)) this.stack.superPacket(this.now, this.#slab, 8, packet.length);
    else this.stack.packet(this.now, this.#slab, 8, packet.length);
    this.#slab.bytes.fill(0xcc, 0, packet.length + 16);
  }

  turn(): void {
    for (const program of this.programs) {
      const { flow } = program;
      if (flow === null || program.isGone) continue;
      if (this.refuses === null) this.stack.tcp.connected(this.now, flow);
      else {
        this.stack.tcp.refused(this.now, flow, this.refuses);
        program.flow = null;
        continue;
      }
      const count = program.confirmable();
      if (count > 0) this.stack.tcp.taken(this.now, flow, count);
    }
    this.stack.wake(this.now);
  }

  /** Nothing is left of what was there. */
  checkEmpty(): void {
    const { tcp } = this.stack;
    mustEqual([tcp.table.size, tcp.admission.flows, tcp.admission.halfOpen, tcp.readAhead], [0, 0, 0, 0], 'flows left');
    mustEqual([this.stack.buffersInUse, this.stack.udp.table.size], [0, 0], 'buffers and datagram flows left');
    mustEqual(this.stack.nextWakeAt(this.now), Infinity, 'time of the next wake');
  }
}
