import fc from 'fast-check';
import { parseIp } from '@wirestream/core/address/ip';
import { bytes, concat, damage, damaged, noise, type Damage } from '../arbitraries/bytes.js';
import { packetShape, writePacket, type PacketShape } from '../arbitraries/packets.js';
import { must, mustEqual, target } from '../target.js';
import { Program, StackWorld } from '../twins/stackpair.js';

const A = [Uint8Array.of(10, 0, 0, 1), parseIp('fd00::1')!];
const B = [Uint8Array.of(10, 0, 0, 2), parseIp('fd00::2')!];
/** Longer than any timer of a flow (DESIGN 7). */
const AGES = 4 * 7_200_000;

/** A SYN is sent four times, data eight times: what loses more than all but one of them may end the flow rightly. Until it is open in all, then in a row. */
const LOST_OPENING_MAX = 3;
const LOST_MAX = 7;

interface Flow {
  readonly family: 4 | 6;
  /** what each side writes, one piece after the other */
  readonly writes: readonly [number[], number[]];
  readonly end: readonly ['end' | 'break', 'end' | 'break'];
  readonly refuses: 'refused' | 'unreachable' | 'timeout' | null;
  /** per packet: lost, repeated, or swapped with the next */
  readonly faults: ('lose' | 'repeat' | 'swap' | 'none')[];
  readonly seed: number;
  /** whether the path takes super-packets; one that is lost is lost whole */
  readonly supers: boolean;
}

export const translatorFlow = target<Flow>({
  name: 'translator-flow',
  says: 'what goes into a flow at one end comes out at the other, once and in order, over a bad path; both ends hear the end; nothing is left',
  runs: 60,
  arbitrary: fc.record({
    family: fc.constantFrom(4, 6),
    writes: fc.tuple(
      fc.array(fc.integer({ min: 1, max: 6000 }), { maxLength: 6 }),
      fc.array(fc.integer({ min: 1, max: 6000 }), { maxLength: 6 }),
    ),
    end: fc.tuple(
      fc.constantFrom('end' as const, 'end' as const, 'break' as const),
      fc.constantFrom('end' as const, 'end' as const, 'end' as const, 'break' as const),
    ),
    refuses: fc.constantFrom(null, null, null, null, 'refused', 'unreachable', 'timeout'),
    faults: fc.array(
      fc.constantFrom(
        'lose' as const,
        'repeat' as const,
        'swap' as const,
        'none' as const,
        'none' as const,
        'none' as const,
      ),
      { maxLength: 20, size: 'max' },
    ),
    seed: fc.nat(),
    supers: fc.boolean(),
  }),
  check({ family, writes, end, refuses, faults, seed, supers }) {
    const worlds = [new StackWorld(A, seed, supers), new StackWorld(B, seed + 1, supers)] as const;
    const [here, there] = worlds;
    there.refuses = refuses;
    const program = new Program();
    program.paused = true;
    const flow = here.stack.tcp.connect(here.now, A[family === 4 ? 0 : 1]!, B[family === 4 ? 0 : 1]!, 80, program);
    must(typeof flow !== 'string', 'the flow is begun');
    program.flow = flow;
    here.programs.push(program);
    const sent: [Uint8Array[], Uint8Array[]] = [[], []];
    const ended = [false, false];
    let fault = 0;
    let lost = 0;
    let lostInARow = 0;
    const isOpen = () => [program, there.programs[0]].every((one) => one?.news.includes('established'));
    const path = (from: 0 | 1) => {
      const packets = worlds[from].out.splice(0);
      for (let i = 0; i < packets.length; i++) {
        const what = faults[fault++] ?? 'none';
        if (what === 'lose' && (isOpen() ? lostInARow < LOST_MAX : lost < LOST_OPENING_MAX)) {
          lost++;
          lostInARow++;
          continue;
        }
        lostInARow = 0;
        if (what === 'swap' && packets[i + 1] !== undefined)
          [packets[i], packets[i + 1]] = [packets[i + 1]!, packets[i]!];
        for (let n = what === 'repeat' ? 2 : 1; n > 0; n--) worlds[1 - from]!.receive(packets[i]!);
      }
    };
    const act = (side: 0 | 1) => {
      const world = worlds[side];
      const one = side === 0 ? program : there.programs[0];
      if (one?.flow === undefined || one.flow === null || one.isGone || one.paused || !one.news.includes('established'))
        return;
      const size = writes[side].shift();
      if (size !== undefined) {
        const data = noise(size, seed + sent[side].length);
        sent[side].push(data);
        world.stack.tcp.data(world.now, one.flow, data.slice());
      } else if (!ended[side]) {
        ended[side] = true;
        if (end[side] === 'end') world.stack.tcp.eof(world.now, one.flow);
        else {
          one.news.push('broke');
          world.stack.tcp.broken(one.flow);
          one.flow = null;
        }
      }
    };
    const limit = here.now + AGES;
    for (let turns = 0; here.now < limit; turns++) {
      must(turns < 20_000, 'it never comes to rest');
      for (const side of [0, 1] as const) act(side);
      for (const world of worlds) world.turn();
      path(0);
      path(1);
      for (const world of worlds) world.turn();
      if (here.out.length > 0 || there.out.length > 0) continue;
      if (writes[0].length + writes[1].length > 0 && !program.isGone && turns < 5_000 && !ended[0]) {
        for (const world of worlds) world.now += 1;
        continue;
      }
      const next = Math.min(here.stack.nextWakeAt(here.now), there.stack.nextWakeAt(there.now));
      if (next === Infinity && (refuses !== null || (ended[0] && ended[1]) || program.isGone)) break;
      const at = Math.max(here.now + 1, Math.min(next, here.now + 10_000));
      for (const world of worlds) world.now = at;
    }
    const other = there.programs[0];
    if (refuses !== null)
      must(other === undefined || other.received.length === 0, 'nothing is said to a refused connection');
    prefix(program.bytes, concat(sent[1]), 'bytes that came back');
    if (other !== undefined) prefix(other.bytes, concat(sent[0]), 'bytes that arrived');
    if (refuses === null && end[0] === 'end' && end[1] === 'end') {
      mustEqual(
        [program.news, other?.news],
        [
          ['established', 'end', 'close'],
          ['established', 'end', 'close'],
        ],
        'news',
      );
      mustEqual(
        [program.bytes.length, other!.bytes.length],
        [concat(sent[1]).length, concat(sent[0]).length],
        'bytes in all',
      );
    }
    for (const world of worlds) world.checkEmpty();
  },
});

function prefix(got: Uint8Array, all: Uint8Array, what: string): void {
  must(got.length <= all.length, `${what}: more than was sent`);
  mustEqual(got, all.subarray(0, got.length), what);
}

type Stimulus =
  | { readonly kind: 'packet'; readonly shape: PacketShape; readonly harm: Damage | null }
  | { readonly kind: 'raw'; readonly bytes: Uint8Array }
  | { readonly kind: 'answer'; readonly of: number; readonly shape: PacketShape }
  | {
      readonly kind: 'native';
      readonly of: number;
      readonly what: 'data' | 'eof' | 'broken' | 'datagram' | 'connect' | 'open';
      readonly size: number;
    }
  | { readonly kind: 'wait'; readonly ms: number };

export const translatorAny = target<{ stimuli: Stimulus[]; seed: number }>({
  name: 'translator-any',
  says: 'no packets and no native events crash the stack or make it grow; what it sends is well-formed; in the end nothing is left',
  runs: 120,
  arbitrary: fc.record({
    stimuli: fc.array(
      fc.oneof(
        {
          weight: 5,
          arbitrary: fc.record({
            kind: fc.constant('packet' as const),
            shape: packetShape,
            harm: fc.option(damage, { freq: 2 }),
          }),
        },
        { weight: 1, arbitrary: fc.record({ kind: fc.constant('raw' as const), bytes: bytes(120) }) },
        {
          weight: 4,
          arbitrary: fc.record({ kind: fc.constant('answer' as const), of: fc.nat({ max: 5 }), shape: packetShape }),
        },
        {
          weight: 4,
          arbitrary: fc.record({
            kind: fc.constant('native' as const),
            of: fc.nat({ max: 3 }),
            what: fc.constantFrom(
              'data' as const,
              'data' as const,
              'eof' as const,
              'broken' as const,
              'datagram' as const,
              'connect' as const,
              'open' as const,
            ),
            size: fc.oneof(fc.nat({ max: 100 }), fc.nat({ max: 5000 })),
          }),
        },
        {
          weight: 2,
          arbitrary: fc.record({
            kind: fc.constant('wait' as const),
            ms: fc.constantFrom(1, 10, 1_000, 10_000, 60_000),
          }),
        },
      ),
      { maxLength: 50, size: 'max' },
    ),
    seed: fc.nat(),
  }),
  check({ stimuli, seed }) {
    const world = new StackWorld(B, seed);
    const sent: Uint8Array[] = [];
    for (const stimulus of stimuli) {
      react(world, sent, stimulus);
      world.turn();
      for (const packet of world.out.splice(0)) {
        checkPacket(packet);
        sent.push(packet);
      }
      must(sent.length <= 400 * (stimuli.length + 1), 'more packets than anything asked for');
    }
    for (const program of world.programs)
      if (program.flow !== null && !program.isGone) world.stack.tcp.eof(world.now, program.flow);
    const limit = world.now + AGES;
    for (let n = 0; world.now < limit; n++) {
      must(n < 20_000, 'the stack never comes to rest');
      world.turn();
      world.out.splice(0);
      const next = world.stack.nextWakeAt(world.now);
      if (next === Infinity) break;
      world.now = Math.max(world.now + 1, next);
    }
    world.checkEmpty();
    world.stack.close();
  },
});

function react(world: StackWorld, sent: readonly Uint8Array[], stimulus: Stimulus): void {
  const { tcp, udp } = world.stack;
  switch (stimulus.kind) {
    case 'wait': {
      const end = world.now + stimulus.ms;
      for (let n = 0; n < 2_000; n++) {
        const at = world.stack.nextWakeAt(world.now);
        if (at > end) break;
        world.now = Math.max(world.now + 0.5, at);
        world.turn();
      }
      world.now = Math.max(world.now, end);
      return;
    }
    case 'raw':
      return world.receive(stimulus.bytes);
    case 'packet': {
      const packet = writePacket({ ...stimulus.shape, to: stimulus.shape.to === 3 ? 3 : 2 });
      return world.receive(
        stimulus.harm === null ? packet : damaged(packet, { ...stimulus.harm, length: stimulus.harm.length % 64 }),
      );
    }
    case 'answer': {
      const to = sent[sent.length - 1 - stimulus.of];
      const packet = to === undefined ? null : answerTo(to, stimulus.shape);
      return packet === null ? undefined : world.receive(packet);
    }
    case 'native': {
      const program = world.programs[world.programs.length - 1 - stimulus.of];
      if (stimulus.what === 'datagram') {
        const entry = world.datagrams[stimulus.of];
        if (entry !== undefined) udp.datagram(world.now, entry.flow, noise(stimulus.size, 1));
      } else if (stimulus.what === 'connect') {
        const begun = new Program();
        begun.paused = true;
        const flow = tcp.connect(world.now, B[0]!, A[0]!, 80, begun);
        if (typeof flow === 'string') return;
        begun.flow = flow;
        world.programs.push(begun);
      } else if (stimulus.what === 'open') {
        udp.open(world.now, B[0]!, A[0]!, 53, { send: () => undefined, close: () => undefined });
      } else if (program !== undefined && program.flow !== null && !program.isGone) {
        const { flow } = program;
        if (stimulus.what === 'data') {
          if (!program.paused && stimulus.size > 0) tcp.data(world.now, flow, noise(stimulus.size, 2));
        } else if (stimulus.what === 'eof') tcp.eof(world.now, flow);
        else {
          program.flow = null;
          tcp.broken(flow);
        }
      }
    }
  }
}

/** A TCP segment that belongs to the flow that `packet` was sent on: numbers that fit, everything else from `shape`. */
function answerTo(packet: Uint8Array, shape: PacketShape): Uint8Array | null {
  const v4 = packet[0]! >> 4 === 4;
  const ip = v4 ? 20 : 40;
  if ((v4 ? packet[9] : packet[6]) !== 6) return null;
  const view = new DataView(packet.buffer, packet.byteOffset, packet.length);
  const data = packet.length - ip - (packet[ip + 12]! >> 4) * 4;
  const syn = (packet[ip + 13]! & 3) !== 0 ? 1 : 0;
  return writePacket({
    ...shape,
    version: v4 ? 4 : 6,
    protocol: 'tcp',
    from: packet[v4 ? 19 : 39]!,
    to: packet[v4 ? 15 : 23]!,
    sourcePort: view.getUint16(ip + 2),
    targetPort: view.getUint16(ip),
    seq: (view.getUint32(ip + 8) + (shape.id === 1 ? 1000 : 0)) >>> 0,
    ack: (view.getUint32(ip + 4) + (shape.id === 0xfffe ? 0 : data + syn)) >>> 0,
  });
}

/** Lengths and checksums of what the stack sends are right. */
function checkPacket(packet: Uint8Array): void {
  const v4 = packet[0]! >> 4 === 4;
  const view = new DataView(packet.buffer, packet.byteOffset, packet.length);
  must(v4 || packet[0]! >> 4 === 6, 'an IP packet');
  mustEqual(v4 ? view.getUint16(2) : view.getUint16(4) + 40, packet.length, 'length field');
  must(packet.length <= 1420, () => `${packet.length} bytes where the MTU is 1420`);
  const ip = v4 ? 20 : 40;
  if (v4) mustEqual(wordSum(packet.subarray(0, 20)), 0xffff, 'IP header checksum');
  const protocol = v4 ? packet[9]! : packet[6]!;
  if ((v4 && (view.getUint16(6) & 0x3fff) !== 0) || protocol === 44) return;
  const body = packet.subarray(ip);
  const pseudo = [...packet.subarray(v4 ? 12 : 8, ip), 0, 0, body.length >> 8, body.length & 255, 0, 0, 0, protocol];
  const sum = wordSum(Uint8Array.from([...(protocol === 1 ? [] : pseudo), ...body]));
  mustEqual(sum, 0xffff, `checksum of protocol ${protocol}`);
}

function wordSum(data: Uint8Array): number {
  let sum = 0;
  for (let i = 0; i < data.length; i += 2) sum += data[i]! * 256 + (data[i + 1] ?? 0);
  while (sum > 0xffff) sum = (sum & 0xffff) + Math.floor(sum / 65_536);
  return sum;
}
