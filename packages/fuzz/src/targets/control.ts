import fc from 'fast-check';
import { formatIp } from '@wirestream/core/address/ip';
import {
  CONTROL_HEADER_LENGTH,
  CONTROL_KIND,
  CONTROL_LENGTH_MAX,
  readControl,
  writeControl,
  type ControlMessage,
} from '@wirestream/core/control/message';
import { CONTROL_BURST, CONTROL_RATE, ControlRation } from '@wirestream/core/control/ration';
import { World } from '@wirestream/core/sim/world';
import { noise } from '../arbitraries/bytes.js';
import { toyCrypto } from '../sim/toycrypto.js';
import { must, mustEqual, target } from '../target.js';

const u16 = fc.nat({ max: 0xffff });
const u32 = fc.nat({ max: 0xffff_ffff });
const seenAt = fc
  .tuple(fc.constantFrom(4 as const, 6 as const), fc.nat(), u16)
  // 2001:… and not a mapped IPv4 address, which is IPv4.
  .map(([family, seed, port]) => {
    const bytes = noise(family === 4 ? 4 : 16, seed);
    bytes[0] = 0x20;
    return { family, address: formatIp(bytes), port };
  });

const message = fc.record(
  {
    version: fc.integer({ min: 1, max: 255 }),
    tcpPort: u16,
    udpPort: u16,
    translated: fc.boolean(),
    abilities: u32,
    seenAt,
    probe: u32,
    probeAnswer: u32,
  },
  { requiredKeys: ['version'], noNullPrototype: true },
);

/** A type that this version does not know, with any value. */
const unknownItem = fc
  .tuple(fc.integer({ min: 8, max: 255 }), fc.uint8Array({ maxLength: 40 }))
  .map(([type, value]) => Uint8Array.of(type, value.length, ...value));

function withItems(bytes: Uint8Array, items: readonly Uint8Array[], front: boolean): Uint8Array {
  const own = [...bytes.subarray(CONTROL_HEADER_LENGTH)];
  const more = items.flatMap((item) => [...item]);
  const all = front ? [...more, ...own] : [...own, ...more];
  const length = CONTROL_HEADER_LENGTH + all.length;
  return Uint8Array.of(CONTROL_KIND, bytes[1]!, length >> 8, length & 0xff, ...all);
}

/** A careful reader that knows nothing but the framing. @returns whether the rules are kept as far as they are about it */
function framed(bytes: Uint8Array): boolean {
  if (bytes.length < 4 || bytes[0] !== CONTROL_KIND || bytes[1] === 0) return false;
  const length = bytes[2]! * 256 + bytes[3]!;
  if (length < 4 || length > CONTROL_LENGTH_MAX || length > bytes.length) return false;
  let rest = [...bytes.subarray(4, length)];
  const least: Record<number, number> = { 1: 2, 2: 2, 3: 1, 4: 4, 5: 6, 6: 4, 7: 4 };
  while (rest.length > 0) {
    const [type, size] = rest;
    if (size === undefined || size > rest.length - 2 || size < (least[type!] ?? 0)) return false;
    rest = rest.slice(2 + size);
  }
  return true;
}

export const controlMessages = target<{
  message: ControlMessage;
  items: readonly Uint8Array[];
  front: boolean;
  padding: number;
}>({
  name: 'control',
  says: 'control messages: what is written is read, whatever a later version adds, and whatever they are padded with',
  runs: 300,
  arbitrary: fc.record({
    message,
    items: fc.array(unknownItem, { maxLength: 4 }),
    front: fc.boolean(),
    padding: fc.nat({ max: 1500 }),
  }),
  check({ message: said, items, front, padding }) {
    const plain = writeControl(said);
    must(plain.length <= CONTROL_LENGTH_MAX && plain[0]! >> 4 === 12, 'the size and the first four bits');
    const later = withItems(plain, items, front);
    const padded = new Uint8Array(7 + later.length + padding).fill(0xee);
    padded.set(later, 7);
    mustEqual(readControl(padded, 7, later.length + padding), said, 'what is read');
    for (let cut = 0; cut < later.length; cut += 1 + (later.length >> 4)) {
      mustEqual(readControl(later, 0, cut), null, 'a message that is cut off');
    }
  },
});

export const controlBytes = target<{ bytes: Uint8Array; honest: boolean }>({
  name: 'control-bytes',
  says: 'any bytes: a control message is taken when its framing is right, and only then',
  runs: 600,
  arbitrary: fc.record({ bytes: fc.uint8Array({ maxLength: 600 }), honest: fc.boolean() }),
  check({ bytes: drawn, honest }) {
    const bytes = drawn.slice();
    // By chance alone few would get past the header.
    if (honest && bytes.length >= 4) bytes.set([CONTROL_KIND, bytes[1]! | 1, bytes.length >> 8, bytes.length & 0xff]);
    mustEqual(readControl(bytes, 0, bytes.length) !== null, framed(bytes), 'whether it is taken');
  },
});

export const controlRation = target<readonly number[]>({
  name: 'control-ration',
  says: 'of a peer’s control messages no more are looked at than its ration allows, in any stretch of time',
  runs: 200,
  arbitrary: fc.array(fc.nat({ max: 2_000 }), { maxLength: 200 }),
  check(waits) {
    const ration = new ControlRation();
    const taken: number[] = [];
    let now = 1_000;
    for (const wait of waits) {
      now += wait;
      if (ration.take(now)) taken.push(now);
    }
    for (let i = 0; i < taken.length; i++) {
      for (let j = i; j < taken.length; j++) {
        const most = CONTROL_BURST + ((taken[j]! - taken[i]!) / 1_000) * CONTROL_RATE;
        must(j - i + 1 <= most + 1e-6, `${j - i + 1} within ${taken[j]! - taken[i]!} ms`);
      }
    }
  },
});

export const controlSilence = target<{ bytes: Uint8Array; kind: number; seed: number }>({
  name: 'control-silence',
  says: 'control messages: strangers see none and are believed none; each is data of some size to whoever looks on; peers with Extensions = off get none',
  runs: 25,
  arbitrary: fc.record({
    bytes: fc.uint8Array({ minLength: 32, maxLength: 300 }),
    kind: fc.constantFrom(1, 2, 3, 4, CONTROL_KIND),
    seed: fc.nat({ max: 1_000_000 }),
  }),
  check({ bytes, kind, seed }) {
    const world = new World({ seed, crypto: toyCrypto, transport: 'udp' });
    const off = seed % 3 === 0;
    if (off) world.host(1).device.extensions = false;
    const types = new Set<number>();
    const lengths: number[] = [];
    for (const host of world.hosts) {
      const { commit } = host.datagrams;
      const { bytes: room } = host.datagrams.slab;
      Object.assign(host.datagrams, {
        commit: (offset: number, length: number, to: never) => {
          types.add(room[offset]!);
          if (room[offset] === 4) lengths.push(length);
          must(room[offset + 1] === 0 && room[offset + 2] === 0 && room[offset + 3] === 0, 'reserved bytes are zero');
          commit(offset, length, to);
        },
      });
    }
    // A stranger speaks first: nothing is answered, nothing is believed.
    const forged = bytes.slice();
    forged[0] = kind;
    const known = () => [world.peer(0, 1).control.version, world.peer(1, 0).control.version];
    const say = () => world.machine(1).send(forged, world.host(0).endpoint);
    say();
    world.run(100);
    mustEqual([types.size, known()], [0, [0, 0]], 'after a stranger has spoken');
    world.ping(0, 1);
    world.run(1_000);
    mustEqual([...types].sort(), [1, 2, 4], 'types of messages');
    must(
      lengths.every((length) => length % 16 === 0 && length <= 1_452),
      'sizes of messages',
    );
    mustEqual(known(), off ? [0, 0] : [1, 1], 'who has announced itself');
    // Host 1 announces nothing when it is off; host 0 cannot know, and says it once. A ping is 84 bytes: 128 as a message.
    mustEqual(lengths.filter((length) => length === 64).length, off ? 1 : 2, 'announcements');
    const before = lengths.length;
    say();
    world.run(1_000);
    mustEqual(lengths.length, before, 'messages after a stranger has spoken again');
    world.stop();
  },
});
