import fc from 'fast-check';
import { Handshake, type InitiationVerdict } from '@wirestream/core/noise/handshake';
import { LocalIdentity } from '@wirestream/core/noise/identity';
import { openInitiation } from '@wirestream/core/noise/initiation';
import { Keypair, OPEN_FORGED, OPEN_REPLAYED } from '@wirestream/core/noise/keypair';
import { nativeCrypto as crypto } from '@wirestream/core/noise/native';
import { compareTai64n, tai64n, tai64nToWallTime, TAI64N_GRAIN, TimestampSource } from '@wirestream/core/noise/tai64n';
import { readInitiation, readResponse } from '@wirestream/core/noise/transcript';
import { writeTransportHeader } from '@wirestream/core/messages/write';
import { Slab } from '@wirestream/core/slab/slab';
import { lowOrderPoint, presharedKey, privateKey } from '../arbitraries/keys.js';
import { must, mustEqual, target } from '../target.js';

interface Keys {
  readonly a: Uint8Array;
  readonly b: Uint8Array;
  readonly ephemeralA: Uint8Array;
  readonly ephemeralB: Uint8Array;
  readonly presharedKey: Uint8Array;
}

const keys: fc.Arbitrary<Keys> = fc.record({
  a: privateKey,
  b: privateKey,
  ephemeralA: privateKey,
  ephemeralB: privateKey,
  presharedKey,
});

const NOW = 10_000;
const STAMP = tai64n(1_700_000_000_000);

/** Two ends that know each other. */
class Pair {
  readonly a: LocalIdentity;
  readonly b: LocalIdentity;
  readonly ofA: Handshake;
  readonly ofB: Handshake;

  constructor(readonly keys: Keys) {
    this.a = new LocalIdentity(crypto, keys.a);
    this.b = new LocalIdentity(crypto, keys.b);
    this.ofA = new Handshake(crypto, this.a, this.b.publicKey, keys.presharedKey);
    this.ofB = new Handshake(crypto, this.b, this.a.publicKey, keys.presharedKey);
  }

  initiate(stamp = STAMP): Uint8Array {
    return this.ofA.createInitiation(this.keys.ephemeralA, 0x0a0a0a0a, stamp)!;
  }

  /** What B makes of an initiation: null when it cannot even be opened. */
  consume(message: Uint8Array, now = NOW): InitiationVerdict | null {
    const opened = openInitiation(crypto, this.b, message, 0);
    return opened === null ? null : this.ofB.consumeInitiation(opened, now);
  }

  respond(): Uint8Array {
    return this.ofB.createResponse(this.keys.ephemeralB, 0x0b0b0b0b)!;
  }
}

interface Agreement {
  readonly keys: Keys;
  readonly packets: { readonly fromA: boolean; readonly length: number }[];
}

export const handshakeAgrees = target<Agreement>({
  name: 'handshake-agrees',
  says: 'two honest ends always agree on keys, whatever theirs are; what one seals the other opens once; a recording reads the same',
  runs: 25,
  arbitrary: fc.record({
    keys,
    packets: fc.array(fc.record({ fromA: fc.boolean(), length: fc.nat({ max: 100 }) }), { maxLength: 4 }),
  }),
  check({ keys: all, packets }) {
    const pair = new Pair(all);
    const initiation = pair.initiate();
    mustEqual([initiation.length, initiation[0], pair.ofA.state], [148, 1, 'initiationCreated'], 'initiation');
    mustEqual(pair.consume(initiation), 'accepted', 'verdict');
    mustEqual([pair.ofB.remoteIndex, pair.ofB.state], [0x0a0a0a0a, 'initiationConsumed'], 'responder');
    mustEqual(pair.ofB.latestTimestamp, STAMP, 'timestamp');
    const response = pair.respond();
    mustEqual([response.length, response[0]], [92, 2], 'response');
    must(pair.ofA.consumeResponse(response, 0), 'the response is taken');
    mustEqual([pair.ofA.remoteIndex, pair.ofA.localIndex], [0x0b0b0b0b, 0x0a0a0a0a], 'indices');
    must(!pair.ofA.consumeResponse(response, 0), 'the response is taken once');

    const read = readInitiation(crypto, initiation, 0, { responderStaticPrivate: pair.b.privateKey });
    mustEqual([read.static, read.timestamp, read.tai64n], ['verified', 'verified', STAMP], 'recorded initiation');
    mustEqual(read.initiatorStatic, pair.a.publicKey, 'initiator');
    const sides = [
      { responderStaticPrivate: pair.b.privateKey, responderEphemeralPrivate: all.ephemeralB },
      {
        initiatorStaticPrivate: pair.a.privateKey,
        initiatorEphemeralPrivate: all.ephemeralA,
        responderStaticPublic: pair.b.publicKey,
      },
    ];
    const sessions = sides.map((side) => {
      const begun = readInitiation(crypto, initiation, 0, side);
      const answer = readResponse(crypto, begun, response, 0, { ...side, presharedKey: all.presharedKey });
      mustEqual(answer.nothing, 'verified', 'recorded response');
      return answer.keys;
    });
    mustEqual(sessions[0], sessions[1], 'keys from either end of a recording');

    const a = pair.ofA.deriveKeys()!;
    const b = pair.ofB.deriveKeys()!;
    mustEqual([a.send, a.receive, a.isInitiator], [b.receive, b.send, true], 'keys of the two ends');
    mustEqual([a.localIndex, a.remoteIndex], [b.remoteIndex, b.localIndex], 'indices of the two ends');
    mustEqual(
      [sessions[0]!.initiatorToResponder, sessions[0]!.responderToInitiator],
      [a.send, a.receive],
      'recorded keys',
    );
    mustEqual([pair.ofA.deriveKeys(), pair.ofB.deriveKeys()], [null, null], 'keys are given out once');
    talk(new Keypair(crypto, a, NOW), new Keypair(crypto, b, NOW), packets);
    mustEqual(
      [a.send.some((byte) => byte !== 0), b.receive.some((byte) => byte !== 0)],
      [false, false],
      'key arrays left',
    );
  },
});

function talk(a: Keypair, b: Keypair, packets: Agreement['packets']): void {
  const slab = Slab.plain(8192);
  for (const { fromA, length } of packets) {
    const [sender, receiver] = fromA ? [a, b] : [b, a];
    must(sender.canSend(NOW) && receiver.canReceive(NOW), 'keypairs are good');
    sender.nextCounter();
    const plain = Uint8Array.from({ length }, (_, i) => i * 7);
    slab.bytes.set(plain, 16);
    writeTransportHeader(slab.bytes, 0, sender.remoteIndex, sender.counterHi, sender.counterLo);
    sender.send.seal(sender.counterHi, sender.counterLo, slab, 16, length, slab, 16);
    slab.bytes[16 + (length >> 1)]! ^= 1;
    mustEqual(receiver.open(slab, 0, length + 32, slab, 4096), OPEN_FORGED, 'a forged message');
    slab.bytes[16 + (length >> 1)]! ^= 1;
    mustEqual(receiver.open(slab, 0, length + 32, slab, 4096), length, 'a message');
    mustEqual(slab.bytes.subarray(4096, 4096 + length), plain, 'what was in it');
    mustEqual(receiver.open(slab, 0, length + 32, slab, 4096), OPEN_REPLAYED, 'the same once more');
  }
  mustEqual([a.isExpired(NOW + 179_999), a.isExpired(NOW + 180_000)], [false, true], 'age');
  a.wipe();
  must(!a.canSend(NOW) && !a.canReceive(NOW), 'a wiped keypair is of no use');
}

interface Mutation {
  readonly keys: Keys;
  readonly message: 'initiation' | 'response';
  readonly at: number;
  readonly bit: number;
}

export const handshakeMutation = target<Mutation>({
  name: 'handshake-mutation',
  says: 'one changed bit of an initiation or response is refused and changes nothing, or is in a field that nothing depends on yet',
  runs: 60,
  arbitrary: fc.record({
    keys,
    message: fc.constantFrom('initiation', 'response'),
    at: fc.oneof(fc.nat({ max: 147 }), fc.constantFrom(4, 8, 12, 39, 40, 44, 59, 60, 87, 88, 115)),
    bit: fc.nat({ max: 7 }),
  }),
  check({ keys: all, message, at, bit }) {
    const pair = new Pair(all);
    const initiation = pair.initiate();
    const change = (bytes: Uint8Array) => {
      const out = bytes.slice();
      out[at % out.length]! ^= 1 << bit;
      return out;
    };
    if (message === 'initiation') {
      const changed = change(initiation);
      const verdict = pair.consume(changed);
      // What the handshake itself covers: ephemeral, static and timestamp. X25519 ignores the top bit of a public key, the hash does not.
      const covered = at >= 8 && at < 116;
      mustEqual(verdict === 'accepted', !covered, `whether bit ${bit} of byte ${at} may change`);
      if (covered) {
        mustEqual([pair.ofB.state, pair.ofB.latestTimestamp.some((byte) => byte !== 0)], ['none', false], 'responder');
        mustEqual(pair.consume(initiation), 'accepted', 'the right one afterwards');
      }
      const read = readInitiation(crypto, changed, 0, { responderStaticPrivate: pair.b.privateKey });
      mustEqual(read.timestamp === 'verified', !covered, 'the same in a recording');
      return;
    }
    pair.consume(initiation);
    const response = pair.respond();
    const changed = change(response);
    const offset = at % response.length;
    // Byte 0 tells where the receiver's index is.
    const covered = offset === 0 || (offset >= 8 && offset < 60);
    mustEqual(pair.ofA.consumeResponse(changed, 0), !covered, `whether bit ${bit} of byte ${offset} may change`);
    if (covered) {
      mustEqual(pair.ofA.state, 'initiationCreated', 'initiator');
      must(pair.ofA.consumeResponse(response, 0), 'the right one afterwards');
    }
  },
});

interface Order {
  readonly keys: Keys;
  /** when each initiation was made and when it arrives, ms */
  readonly initiations: { readonly made: number; readonly after: number }[];
}

export const initiationOrder = target<Order>({
  name: 'initiation-order',
  says: 'an initiation is accepted only when its time is newer than all before and 20 ms have passed',
  runs: 25,
  arbitrary: fc.record({
    keys,
    initiations: fc.array(
      fc.record({ made: fc.integer({ min: -60, max: 200 }), after: fc.constantFrom(0, 1, 19, 20, 21, 500) }),
      { maxLength: 6 },
    ),
  }),
  check({ keys: all, initiations }) {
    const pair = new Pair(all);
    let newest: Uint8Array = new Uint8Array(12);
    let last = -Infinity;
    let now = NOW;
    for (const { made, after } of initiations) {
      now += after;
      const stamp = tai64n(1_700_000_000_000 + made);
      const fresh = compareTai64n(stamp, newest) > 0;
      const expected = !fresh ? 'replayed' : now < last + 20 ? 'flooding' : 'accepted';
      mustEqual(
        pair.consume(pair.initiate(stamp), now),
        expected,
        `verdict ${now - last} ms after the last accepted one`,
      );
      if (expected !== 'accepted') continue;
      newest = stamp;
      last = now;
    }
    mustEqual(pair.ofB.latestTimestamp, newest, 'newest timestamp');
  },
});

interface Refusal {
  readonly keys: Keys;
  readonly point: Uint8Array;
  readonly other: Uint8Array;
}

export const handshakeRefusals = target<Refusal>({
  name: 'handshake-refusals',
  says: 'keys of low order, the wrong preshared key and the wrong peer get nothing',
  runs: 20,
  arbitrary: fc.record({ keys, point: lowOrderPoint, other: privateKey }),
  check({ keys: all, point, other }) {
    const pair = new Pair(all);
    const lonely = new Handshake(crypto, pair.a, point, all.presharedKey);
    mustEqual(
      [lonely.isPossible, lonely.createInitiation(all.ephemeralA, 1, STAMP)],
      [false, null],
      'a peer of low order',
    );
    const initiation = pair.initiate();
    const low = initiation.slice();
    low.set(point, 8);
    mustEqual(pair.consume(low), null, 'an ephemeral key of low order');
    const wrong = all.presharedKey.slice();
    wrong[5]! ^= 4;
    mustEqual(pair.consume(initiation), 'accepted', 'verdict');
    pair.ofB.setPresharedKey(wrong);
    must(!pair.ofA.consumeResponse(pair.respond(), 0), 'another preshared key is no use');
    mustEqual(pair.ofA.state, 'initiationCreated', 'initiator');

    const stranger = new LocalIdentity(crypto, other);
    if (stranger.publicKey.join() === pair.a.publicKey.join()) return;
    const claim = new Handshake(crypto, stranger, pair.b.publicKey).createInitiation(
      all.ephemeralB,
      2,
      tai64n(1_800_000_000_000),
    )!;
    mustEqual(pair.consume(claim), 'unauthenticated', 'somebody else');
    pair.ofB.destroy();
    mustEqual([pair.ofB.isPossible, pair.ofB.localIndex], [false, null], 'a removed peer');
  },
});

export const timestamps = target<number[]>({
  name: 'timestamps',
  says: 'each timestamp is newer than the last, never finer than 2^24 ns, and is the time',
  runs: 200,
  arbitrary: fc.array(
    fc.oneof(
      fc.nat({ max: 4_000_000_000_000 }),
      fc.integer({ min: 1_699_999_999_980, max: 1_700_000_000_020 }),
      fc.constant(2 ** 42),
    ),
    { minLength: 1, maxLength: 12 },
  ),
  check(times) {
    const source = new TimestampSource();
    let last: Uint8Array | null = null;
    for (const time of times) {
      const plain = tai64n(time);
      const grain = TAI64N_GRAIN / 1e6;
      must(
        tai64nToWallTime(plain) <= time && time - tai64nToWallTime(plain) <= grain + 0.001,
        'the time, rounded down',
      );
      const stamp = source.next(time);
      const view = new DataView(stamp.buffer);
      must(
        view.getUint32(8) % TAI64N_GRAIN === 0 && view.getUint32(8) < 1e9,
        'nanoseconds are a multiple of the grain',
      );
      if (last === null || compareTai64n(plain, last) > 0) mustEqual(stamp, plain, 'timestamp');
      must(last === null || compareTai64n(stamp, last) > 0, 'each is newer');
      last = stamp;
    }
  },
});
