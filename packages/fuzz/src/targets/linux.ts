import fc from 'fast-check';
import type { Endpoint } from '@wirestream/core/address/endpoint';
import type { DeviceSettings } from '@wirestream/core/device/settings';
import { portFilter, type Instruction } from '@wirestream/core/linux/bpf';
import { Nesting, NO_HOPS } from '@wirestream/core/linux/nesting';
import { packSettings, unpackSettings } from '@wirestream/core/linux/packedsettings';
import { readSockaddr, SOCKADDR_IN6, writeSockaddr } from '@wirestream/core/linux/sockaddr';
import { UNREACHABLE_MAX, writeUnreachable } from '@wirestream/core/linux/unreachable';
import { Slab } from '@wirestream/core/slab/slab';
import { endpoint } from '../arbitraries/addresses.js';
import { bytes, damage, damaged, type Damage } from '../arbitraries/bytes.js';
import { internetChecksum, packetShape, writePacket, type PacketShape } from '../arbitraries/packets.js';
import { settings } from '../arbitraries/uapi.js';
import { must, mustEqual, target } from '../target.js';

/** Where packets lie in the slab of a target. */
const AT = 24;

function inSlab(packet: Uint8Array): Slab {
  // Nothing may be read behind a packet: what is there would change the answer.
  const slab = Slab.plain(AT + packet.length + UNREACHABLE_MAX);
  slab.bytes.fill(0xa5);
  slab.bytes.set(packet, AT);
  return slab;
}

interface Packet {
  readonly shape: PacketShape;
  readonly harms: Damage[];
  /** flags and offset of IPv4's fragments */
  readonly fragment: number;
  /** of ICMP; null leaves it a question */
  readonly type: number | null;
}

const packet: fc.Arbitrary<Packet> = fc.record({
  shape: packetShape,
  harms: fc.array(damage, { maxLength: 2 }),
  fragment: fc.constantFrom(0, 0, 0x4000, 0x2000, 0x2001, 1, 0x1fff),
  type: fc.constantFrom(null, 0, 1, 3, 8, 11, 13, 17, 127, 128, 135),
});

function written({ shape, harms, fragment, type }: Packet): Uint8Array {
  const out = writePacket(shape);
  if (shape.version === 4) out.set([fragment >> 8, fragment & 255], 6);
  if (shape.protocol === 'echo' && type !== null) out[shape.version === 4 ? 20 : 40] = type;
  return harms.reduce(damaged, out);
}

interface Watched {
  readonly packet: Packet;
  readonly ports: number[];
}

export const portFilters = target<Watched>({
  name: 'port-filter',
  says: 'the kernel’s filter lets through what has one of the ports, and what may have it behind other headers, and nothing else',
  runs: 300,
  arbitrary: fc.record({
    packet,
    ports: fc.array(fc.oneof(fc.constantFrom(1, 7, 80, 443, 1000, 65_535), fc.nat({ max: 65_535 })), { maxLength: 6 }),
  }),
  check({ packet: given, ports }) {
    const seen = written(given);
    const program = portFilter(ports);
    must(program.length <= 4096, 'the kernel takes 4096 instructions');
    mustEqual(execute(program, seen) > 0, passes(seen, ports), 'whether it passes');
  },
});

/** As linux/filter.h says it, for the instructions that there are: a load beyond the end of the packet drops it. */
function execute(program: readonly Instruction[], seen: Uint8Array): number {
  let [a, x] = [0, 0];
  for (let at = 0; ; at++) {
    const { code, jt, jf, k } = program[at]!;
    const load = (from: number, size: number): boolean => {
      if (from + size > seen.length) return false;
      a = size === 1 ? seen[from]! : seen[from]! * 256 + seen[from + 1]!;
      return true;
    };
    if (code === 0x06) return k;
    if (code === 0x30 && !load(k, 1)) return 0;
    if (code === 0x28 && !load(k, 2)) return 0;
    if (code === 0x48 && !load(x + k, 2)) return 0;
    if (code === 0xb1) {
      if (k >= seen.length) return 0;
      x = 4 * (seen[k]! & 15);
    }
    if (code === 0x74) a >>>= k;
    if (code === 0x15) at += a === k ? jt : jf;
    if (code === 0x45) at += (a & k) !== 0 ? jt : jf;
    must([0x06, 0x30, 0x28, 0x48, 0xb1, 0x74, 0x15, 0x45].includes(code), `no such instruction: ${code}`);
  }
}

/** The same in words. */
function passes(seen: Uint8Array, ports: readonly number[]): boolean {
  const word = (at: number) => (at + 2 > seen.length ? -1 : seen[at]! * 256 + seen[at + 1]!);
  const version = (seen[0] ?? 0) >> 4;
  if (version !== 4 && version !== 6) return false;
  const protocol = seen[version === 4 ? 9 : 6];
  if (protocol === undefined) return false;
  if (version === 6 && [0, 43, 44, 60].includes(protocol)) return true;
  if (protocol !== 6 && protocol !== 17) return false;
  if (version === 4) {
    if (word(6) < 0) return false;
    if ((word(6) & 0x1fff) !== 0) return true;
  }
  const at = version === 4 ? 4 * (seen[0]! & 15) : 40;
  // A packet that ends in the middle of its ports is dropped when the second one would have to be read.
  return word(at) >= 0 && (ports.includes(word(at)) || ports.includes(word(at + 2)));
}

export const unreachables = target<Packet>({
  name: 'unreachable',
  says: 'who sends to nobody is told so, in a well-formed message that quotes him; errors, fragments and strange sources get nothing',
  runs: 200,
  arbitrary: packet,
  check(given) {
    const original = written(given);
    const slab = inSlab(original);
    const out = Slab.plain(UNREACHABLE_MAX + 64);
    out.bytes.fill(0x77);
    const length = writeUnreachable(slab, AT, original.length, out, 8);
    must(length <= UNREACHABLE_MAX, `${length} bytes of an error`);
    must(
      out.bytes.subarray(0, 8).every((b) => b === 0x77),
      'something was written in front',
    );
    must(
      out.bytes
        .subarray(8 + Math.max(length, 48))
        .every((b, i) => b === 0x77 || 8 + Math.max(length, 48) + i < 8 + length),
      'something was written behind',
    );
    if (given.harms.length === 0) {
      const { protocol, version } = given.shape;
      const type = original[version === 4 ? 20 : 40]!;
      const isError = protocol === 'echo' && (version === 4 ? ![8, 13, 17].includes(type) : type < 128);
      const isLater = version === 4 && (given.fragment & 0x1fff) !== 0;
      mustEqual(length > 0, !isError && !isLater, `whether ${protocol} over IPv${version} gets an answer`);
    }
    if (length === 0) return;
    const answer = out.bytes.slice(8, 8 + length);
    const version = original[0]! >> 4;
    const [header, addresses] = version === 4 ? [20, 4] : [40, 16];
    const source = version === 4 ? 12 : 8;
    mustEqual(
      answer.slice(source, source + addresses),
      original.slice(source + addresses, source + 2 * addresses),
      'source',
    );
    mustEqual(
      answer.slice(source + addresses, source + 2 * addresses),
      original.slice(source, source + addresses),
      'destination',
    );
    const said = version === 4 ? answer[2]! * 256 + answer[3]! : 40 + answer[4]! * 256 + answer[5]!;
    mustEqual([said, answer[version === 4 ? 9 : 6]], [length, version === 4 ? 1 : 58], 'length and protocol');
    mustEqual([answer[header], answer[header + 1]], version === 4 ? [3, 1] : [1, 3], 'type and code');
    const quoted = answer.slice(header + 8);
    mustEqual(quoted, original.slice(0, quoted.length), 'what is quoted');
    must(
      quoted.length === original.length || length === (version === 4 ? 576 : 1280),
      'quoted less than there is room for',
    );
    const size = length - header;
    const pseudo = version === 4 ? [] : [...answer.subarray(8, 40), 0, 0, size >> 8, size & 255, 0, 0, 0, 58];
    mustEqual(internetChecksum([pseudo, answer.subarray(header)]), 0, 'its checksum');
    if (version === 4) mustEqual(internetChecksum([answer.subarray(0, 20)]), 0, 'the checksum of its header');
  },
});

interface Carried {
  readonly shape: PacketShape;
  readonly hops: number;
  readonly head: number[];
  /** bytes of what is carried that each fragment has, a multiple of 8; 0: it is whole */
  readonly cut: number;
  readonly strange: Uint8Array;
}

export const nesting = target<Carried>({
  name: 'nesting',
  says: 'a WireGuard message in UDP costs eight hops, all fragments of it, and nothing else does',
  runs: 200,
  arbitrary: fc.record({
    shape: packetShape.map((shape) => ({
      ...shape,
      protocol: shape.protocol === 'tcp' ? ('udp' as const) : shape.protocol,
    })),
    hops: fc.nat({ max: 255 }),
    head: fc.constantFrom(
      [1, 0, 0, 0],
      [4, 0, 0, 0],
      [4, 0, 0, 1],
      [5, 0, 0, 0],
      [0, 0, 0, 0],
      [2, 1, 0, 0],
      [3, 0, 0, 0],
    ),
    cut: fc.constantFrom(0, 0, 64, 128, 512),
    strange: bytes(80),
  }),
  check({ shape, hops, head, cut, strange }) {
    const looks = new Nesting();
    const ask = (seen: Uint8Array) => looks.hops(inSlab(seen), AT, seen.length);
    ask(strange);
    const v4 = shape.version === 4;
    const ip = v4 ? 20 : 40;
    const whole = writePacket({ ...shape, payload: Uint8Array.from([...head, ...shape.payload]) });
    whole[v4 ? 8 : 7] = hops;
    const isMessage =
      shape.protocol === 'udp' &&
      whole.length >= ip + 8 + 32 &&
      head[0]! >= 1 &&
      head[0]! <= 4 &&
      !head.slice(1).some((b) => b > 0);
    const expected = !isMessage ? 0 : hops <= 8 ? NO_HOPS : Math.min(hops - 8, 64);
    const parts = cut === 0 || whole.length <= ip + cut ? [whole] : fragmentsOf(whole, ip, cut);
    for (const [i, part] of parts.entries()) mustEqual(ask(part), expected, `hops of part ${i} of ${parts.length}`);
  },
});

/** RFC 791 §3.2 and RFC 8200 §4.5, as plainly as can be. */
function fragmentsOf(whole: Uint8Array, ip: number, cut: number): Uint8Array[] {
  const out: Uint8Array[] = [];
  for (let at = ip; at < whole.length; at += cut) {
    const data = whole.slice(at, at + cut);
    const more = at + cut < whole.length ? 1 : 0;
    const offset = (at - ip) / 8;
    const head = whole.slice(0, ip);
    const extra = ip === 20 ? [] : [head[6]!, 0, offset >> 5, ((offset & 31) << 3) | more, 9, 9, 9, 9];
    if (ip === 20) head.set([(more << 5) | (offset >> 8), offset & 255], 6);
    else head[6] = 44;
    out.push(Uint8Array.from([...head, ...extra, ...data]));
  }
  return out;
}

export const socketAddresses = target<Endpoint>({
  name: 'sockaddr',
  says: 'an endpoint survives the kernel’s form; of link-local addresses alone the interface counts',
  runs: 100,
  arbitrary: fc
    .tuple(endpoint, fc.boolean())
    .map(([end, isLocal]) =>
      isLocal && end.family === 6 ? { ...end, address: `fe80::${end.port.toString(16)}` } : end,
    ),
  check(end) {
    const slab = Slab.plain(SOCKADDR_IN6 + 8);
    slab.bytes.fill(0x77);
    const length = writeSockaddr(slab, 4, end);
    mustEqual(length, end.family === 4 ? 16 : 28, 'its length');
    must(
      slab.bytes.subarray(4 + SOCKADDR_IN6).every((b) => b === 0x77),
      'something was written behind',
    );
    const { scope, ...plain } = end;
    // fe80::/10 reaches as far as febf.
    const expected = scope !== undefined && /^fe[89ab][0-9a-f]:/.test(end.address) ? end : plain;
    mustEqual(readSockaddr(slab, 4), expected, 'what is read');
    slab.view.setUint16(4, 99, true);
    mustEqual(readSockaddr(slab, 4), null, 'of another family');
  },
});

export const packedSettings = target<DeviceSettings>({
  name: 'packed-settings',
  says: 'settings are the same on the other side of a thread',
  runs: 100,
  arbitrary: settings,
  check(given) {
    mustEqual(unpackSettings(structuredClone(packSettings(given))), given, 'settings');
  },
});
