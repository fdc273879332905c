import fc from 'fast-check';
import type { Crypto, TransportCipher } from '@wirestream/core/noise/crypto';
import { nativeCrypto } from '@wirestream/core/noise/native';
import { portableCrypto } from '@wirestream/core/noise/portable';
import { chachaPolyCrypto, chooseCrypto, evpCrypto } from '@wirestream/core/linux/choosecrypto';
import { nativeSlab } from '@wirestream/core/linux/nativeslab';
import { noise } from '../arbitraries/bytes.js';
import { must, mustEqual, target } from '../target.js';

const TAG = 16;
const ROOM = 70_000;
const u32 = fc.oneof(fc.constantFrom(0, 1, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff), fc.nat({ max: 0xffff_ffff }));

/** Providers that work here at all: native ones may miss their library. */
const PROVIDERS: readonly Crypto[] = [nativeCrypto, evpCrypto, chachaPolyCrypto].filter((crypto) => {
  try {
    crypto.cipher(new Uint8Array(32)).wipe();
    return true;
  } catch {
    return false;
  }
});

interface Message {
  readonly key: number;
  readonly hi: number;
  readonly lo: number;
  readonly length: number;
  readonly from: number;
  readonly to: number;
  readonly inPlace: boolean;
  /** which bit of what was sealed changes on the way */
  readonly bit: number;
}

const slabs = [nativeSlab(ROOM), nativeSlab(ROOM), nativeSlab(ROOM)] as const;

export const ciphers = target<Message>({
  name: 'ciphers',
  says: 'every provider seals what noble seals, wherever it lies, opens it again, writes nothing beyond, and refuses it with one bit changed',
  runs: 60,
  arbitrary: fc.record({
    key: fc.nat(),
    hi: u32,
    lo: u32,
    length: fc.oneof(fc.nat({ max: 300 }), fc.nat({ max: 1500 }), fc.constantFrom(0, 63, 64, 65, 4096, 65_535)),
    from: fc.nat({ max: 70 }),
    to: fc.nat({ max: 70 }),
    inPlace: fc.boolean(),
    bit: fc.nat(),
  }),
  check({ key, hi, lo, length, from, to, inPlace, bit }) {
    const secret = noise(32, key);
    const text = noise(length, key + 1);
    const [source, sealed, opened] = slabs;
    const at = inPlace ? from : to;
    const expected = (() => {
      const cipher = portableCrypto.cipher(secret);
      sealed.bytes.fill(0xee, 0, length + 200);
      source.bytes.set(text, from);
      cipher.seal(hi, lo, source, from, length, sealed, at);
      cipher.wipe();
      return sealed.bytes.slice(at, at + length + TAG);
    })();
    for (const { name, cipher: make } of PROVIDERS) {
      const cipher: TransportCipher = make(secret);
      const into = inPlace ? source : sealed;
      into.bytes.fill(0xee, 0, length + 200);
      source.bytes.set(text, from);
      cipher.seal(hi, lo, source, from, length, into, at);
      mustEqual(into.bytes.slice(at, at + length + TAG), expected, `${name}: sealed`);
      mustEqual(into.bytes[at + length + TAG], 0xee, `${name}: the byte behind`);
      const where = at + ((bit >> 3) % (length + TAG));
      into.bytes[where]! ^= 1 << (bit & 7);
      must(!cipher.open(hi, lo, into, at, length + TAG, opened, to), `${name} opens what was changed`);
      into.bytes[where]! ^= 1 << (bit & 7);
      must(!cipher.open(hi, (lo ^ 1) >>> 0, into, at, length + TAG, opened, to), `${name} opens under another counter`);
      must(!cipher.open(hi, lo, into, at, Math.min(length, TAG - 1), opened, to), `${name} opens less than a tag`);
      must(cipher.open(hi, lo, into, at, length + TAG, opened, to), `${name} does not open what it sealed`);
      mustEqual(opened.bytes.slice(to, to + length), text, `${name}: opened`);
      cipher.wipe();
    }
  },
});

interface Defect {
  readonly how:
    'seals wrongly' | 'opens anything' | 'opens nothing' | 'throws' | 'writes beyond' | 'hashes wrongly' | 'none';
  /** messages that are shorter are treated well */
  readonly from: number;
}

export const choosing = target<Defect>({
  name: 'choosing-crypto',
  says: 'a provider that computes something else than noble, at any length, is not chosen, and what was wrong is told',
  runs: 6,
  arbitrary: fc.record({
    how: fc.constantFrom<Defect['how'][]>(
      'seals wrongly',
      'opens anything',
      'opens nothing',
      'throws',
      'writes beyond',
      'hashes wrongly',
      'none',
    ),
    from: fc.constantFrom(0, 16, 64, 1420),
  }),
  check({ how, from }) {
    const broken: Crypto = {
      ...nativeCrypto,
      name: 'broken',
      hash: (...parts) => (how === 'hashes wrongly' ? new Uint8Array(32) : nativeCrypto.hash(...parts)),
      cipher: (key) => defective(nativeCrypto.cipher(key), { how, from }),
    };
    const { crypto, why } = chooseCrypto([broken]);
    mustEqual(crypto.name, how === 'none' ? 'broken' : portableCrypto.name, `the choice for one that ${how}`);
    must(how === 'none' || /not broken: ./.test(why), () => `of one that ${how} is told: ${why}`);
  },
});

function defective(cipher: TransportCipher, { how, from }: Defect): TransportCipher {
  return {
    seal(hi, lo, src, srcOffset, length, dst, dstOffset) {
      if (how === 'throws' && length >= from) throw new Error('no such luck');
      cipher.seal(hi, lo, src, srcOffset, length, dst, dstOffset);
      if (length < from) return;
      if (how === 'seals wrongly') dst.bytes[dstOffset + length]! ^= 1;
      if (how === 'writes beyond') dst.bytes[dstOffset + length + TAG]! ^= 1;
    },
    open(hi, lo, src, srcOffset, length, dst, dstOffset) {
      const isRight = cipher.open(hi, lo, src, srcOffset, length, dst, dstOffset);
      if (length - TAG < from) return isRight;
      return how === 'opens anything' || (how !== 'opens nothing' && isRight);
    },
    wipe: () => cipher.wipe(),
  };
}
