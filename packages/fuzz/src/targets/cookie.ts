import fc from 'fast-check';
import type { Endpoint } from '@wirestream/core/address/endpoint';
import { CookieChecker } from '@wirestream/core/cookie/checker';
import { CookieJar } from '@wirestream/core/cookie/jar';
import { hasMac2 } from '@wirestream/core/cookie/mac';
import { RateLimiter } from '@wirestream/core/cookie/ratelimiter';
import { nativeCrypto as crypto } from '@wirestream/core/noise/native';
import { endpoint, port } from '../arbitraries/addresses.js';
import { noise } from '../arbitraries/bytes.js';
import { privateKey } from '../arbitraries/keys.js';
import { makeMessage } from '../arbitraries/messages.js';
import { must, mustEqual, target } from '../target.js';

interface Input {
  readonly key: Uint8Array;
  readonly type: 1 | 2;
  readonly from: Endpoint;
  /** somewhere else, or another port at the same address */
  readonly other: Endpoint | number;
  readonly seed: number;
  /** ms between the reply and its use */
  readonly wait: number;
  readonly bit: number;
}

export const cookies = target<Input>({
  name: 'cookies',
  says: 'MAC1 and MAC2 cover every byte; a cookie is good for its sender, at its address, for two minutes, and answers one message',
  runs: 120,
  arbitrary: fc.record({
    key: privateKey,
    type: fc.constantFrom(1, 2),
    from: endpoint,
    other: fc.oneof(endpoint, port),
    seed: fc.nat(),
    wait: fc.oneof(fc.constantFrom(0, 1, 114_999, 115_000, 119_999, 120_000, 120_001), fc.nat({ max: 200_000 })),
    bit: fc.nat({ max: 148 * 8 - 1 }),
  }),
  check({ key, type, from, other: elsewhere, seed, wait, bit }) {
    const other = typeof elsewhere === 'number' ? { ...from, port: elsewhere } : elsewhere;
    const publicKey = crypto.publicKey(key);
    const length = type === 1 ? 148 : 92;
    let drawn = seed;
    const random = (out: Uint8Array) => void out.set(noise(out.length, drawn++));
    const checker = new CookieChecker(crypto, new RateLimiter(), random);
    const start = 5_000;
    const validate = (bytes: Uint8Array, source: Endpoint, check: boolean, now: number) =>
      checker.validate(bytes, 0, bytes.length, source, check, now);

    const message = makeMessage(type, length, seed);
    const jar = new CookieJar(crypto, publicKey);
    jar.addMacs(message, start);
    mustEqual(validate(message, from, false, start), 'invalid', 'without a key of our own');
    checker.setPublicKey(publicKey);
    mustEqual([validate(message, from, false, start), hasMac2(message, 0, length)], ['validMac1', false], 'MAC1');
    mustEqual(validate(message, from, true, start), 'validMac1', 'MAC1 under load');
    const flipped = message.slice();
    flipped[(bit >> 3) % (length - 16)]! ^= 1 << (bit & 7);
    mustEqual(validate(flipped, from, true, start), 'invalid', 'a message with a changed bit');

    const reply = checker.makeReply(message, 0, length, from, noise(24, seed), start)!;
    mustEqual([reply.length, reply[0], reply.subarray(4, 8)], [64, 3, message.subarray(4, 8)], 'cookie reply');
    const broken = reply.slice();
    broken[8 + (bit % 56)]! ^= 0x40;
    must(!jar.consumeReply(broken, 0, start), 'a changed cookie reply is refused');
    must(!new CookieJar(crypto, publicKey).consumeReply(reply, 0, start), 'nobody else can read it');
    must(jar.consumeReply(reply, 0, start), 'the cookie is taken');
    must(!jar.consumeReply(reply, 0, start), 'and only once');

    const now = start + wait;
    const again = makeMessage(type, length, seed + 1);
    jar.addMacs(again, now);
    mustEqual(hasMac2(again, 0, length), wait < 115_000, 'whether MAC2 is there');
    mustEqual(jar.hasCookie(now), wait < 115_000, 'whether there is a cookie');
    if (wait >= 115_000) return;
    mustEqual(validate(again, from, true, now), 'validCookie', 'MAC2 in time');
    const same = from.port === other.port && from.address === other.address;
    mustEqual(validate(again, other, true, now), same ? 'validCookie' : 'validMac1', 'MAC2 from another place');
    const changed = again.slice();
    changed[length - 16 + (bit % 16)]! ^= 1;
    mustEqual(validate(changed, from, true, now), 'validMac1', 'a changed MAC2');
    // 5 at once and 20 a second, per source.
    const more = Array.from({ length: 6 }, () => validate(again, from, true, now));
    const used = same ? 2 : 1;
    mustEqual(more.filter((state) => state === 'validCookie').length, 5 - used, 'messages at once');
    mustEqual(validate(again, from, true, start + 120_000), 'validMac1', 'after the secret has changed');
    checker.wipe();
    mustEqual(
      [validate(again, from, true, now), checker.makeReply(again, 0, length, from, noise(24, 1), now)],
      ['invalid', null],
      'wiped',
    );
  },
});
