import { describe, expect, test } from '@jest/globals';
import type { Endpoint } from '../../src/address/endpoint.js';
import { CookieChecker } from '../../src/cookie/checker.js';
import { CookieJar } from '../../src/cookie/jar.js';
import { hasMac2 } from '../../src/cookie/mac.js';
import { RateLimiter } from '../../src/cookie/ratelimiter.js';
import { classify, receiverIndex } from '../../src/messages/parse.js';
import { nativeCrypto } from '../../src/noise/native.js';
import { PROVIDERS, keyOf } from '../noise/providers.js';

const HERE: Endpoint = { family: 4, address: '192.0.2.1', port: 51820 };
const OTHERS: Endpoint[] = [
  { family: 4, address: '192.0.2.2', port: 51820 },
  { family: 4, address: '192.0.2.1', port: 51821 },
  { family: 4, address: '192.0.2.1', port: 51820 + 256 },
  { family: 6, address: '2001:db8::1', port: 51820 },
];
const NONCE = Uint8Array.from({ length: 24 }, (_, i) => 200 - i);

function setUp(crypto = nativeCrypto) {
  const publicKey = crypto.publicKey(keyOf(1));
  let draws = 0;
  const checker = new CookieChecker(crypto, new RateLimiter(), (out) => void out.fill(++draws));
  checker.setPublicKey(publicKey);
  const jar = new CookieJar(crypto, publicKey);
  const message = (length: number, seed = 1) => {
    const bytes = Uint8Array.from({ length }, (_, i) => (i * 37 + seed) & 0xff);
    bytes.set([length === 148 ? 1 : 2, 0, 0, 0, 0x44, 0x33, 0x22, 0x11]);
    return bytes;
  };
  const validate = (bytes: Uint8Array, underLoad: boolean, now = 0, from = HERE) =>
    checker.validate(bytes, 0, bytes.length, from, underLoad, now);
  const reply = (bytes: Uint8Array, now = 0, from = HERE) =>
    checker.makeReply(bytes, 0, bytes.length, from, NONCE, now)!;
  return { checker, jar, message, validate, reply, draws: () => draws };
}

describe.each(PROVIDERS)('on %s', (_name, crypto) => {
  test.each([148, 92])('a message of %i bytes: MAC1, cookie, MAC2', (length) => {
    const { jar, message, validate, reply } = setUp(crypto);
    const first = message(length);
    expect(validate(first, false)).toBe('invalid');
    jar.addMacs(first, 0);
    expect(hasMac2(first, 0, length)).toBe(false);
    expect(validate(first, false)).toBe('validMac1');
    expect(validate(first, true)).toBe('validMac1');

    const cookie = reply(first);
    expect([cookie.length, classify(cookie, 0, 64), receiverIndex(cookie, 0)]).toEqual([64, 3, 0x11223344]);
    expect(jar.consumeReply(cookie, 0, 10)).toBe(true);
    const second = message(length, 2);
    jar.addMacs(second, 20);
    expect(validate(second, true, 30)).toBe('validCookie');
    expect(validate(second, false, 30)).toBe('validMac1');
    for (const other of OTHERS) expect(validate(second, true, 30, other)).toBe('validMac1');
  });
});

test('every byte counts, and each MAC covers what it should', () => {
  const { jar, message, validate, reply } = setUp();
  const first = message(148);
  jar.addMacs(first, 0);
  jar.consumeReply(reply(first), 0, 0);
  const second = message(148, 2);
  jar.addMacs(second, 0);
  for (let i = 0; i < 148; i++) {
    const damaged = second.slice();
    damaged[i]! ^= 0x20;
    expect(validate(damaged, true)).toBe(i < 132 ? 'invalid' : 'validMac1');
  }
  expect(validate(second, true)).toBe('validCookie');
});

describe('cookie replies', () => {
  test('one is taken for each message sent, and only in answer to the last', () => {
    const { jar, message, reply } = setUp();
    const [first, second] = [message(148, 1), message(148, 2)];
    const early = reply(first);
    expect(jar.consumeReply(early, 0, 0)).toBe(false);
    jar.addMacs(first, 0);
    const toFirst = reply(first);
    jar.addMacs(second, 0);
    expect(jar.consumeReply(toFirst, 0, 0)).toBe(false);
    const toSecond = reply(second);
    expect(jar.consumeReply(toSecond, 0, 0)).toBe(true);
    expect(jar.consumeReply(toSecond, 0, 0)).toBe(false);
  });

  test('a damaged or foreign one changes nothing', () => {
    const { jar, message, reply } = setUp();
    const first = message(148);
    jar.addMacs(first, 0);
    const good = reply(first);
    for (let i = 8; i < 64; i++) {
      const damaged = good.slice();
      damaged[i]! ^= 1;
      expect(jar.consumeReply(damaged, 0, 0)).toBe(false);
      expect(jar.hasCookie(0)).toBe(false);
    }
    const foreign = new CookieChecker(nativeCrypto, new RateLimiter(), (out) => void out.fill(9));
    foreign.setPublicKey(nativeCrypto.publicKey(keyOf(7)));
    expect(jar.consumeReply(foreign.makeReply(first, 0, 148, HERE, NONCE, 0)!, 0, 0)).toBe(false);
    expect(jar.consumeReply(Uint8Array.from([9, 9, ...good]), 2, 0)).toBe(true);
  });

  test('a cookie is used for 115 s', () => {
    const { jar, message, reply } = setUp();
    const first = message(148);
    jar.addMacs(first, 1000);
    jar.consumeReply(reply(first), 0, 1000);
    expect([jar.hasCookie(115_999), jar.hasCookie(116_000)]).toEqual([true, false]);
    const late = message(148, 2);
    jar.addMacs(late, 115_999);
    expect(hasMac2(late, 0, 148)).toBe(true);
    jar.addMacs(late, 116_000);
    expect(hasMac2(late, 0, 148)).toBe(false);
  });

  test('clearing the jar forgets it', () => {
    const { jar, message, reply } = setUp();
    const first = message(148);
    jar.addMacs(first, 0);
    jar.consumeReply(reply(first), 0, 0);
    jar.clear();
    expect(jar.hasCookie(0)).toBe(false);
  });
});

test('the secret changes every 120 s, and old cookies with it', () => {
  const { jar, message, validate, reply, draws } = setUp();
  const first = message(148);
  jar.addMacs(first, 0);
  jar.consumeReply(reply(first, 1000), 0, 1000);
  const second = message(148, 2);
  jar.addMacs(second, 2000);
  expect(validate(second, true, 120_999)).toBe('validCookie');
  expect(draws()).toBe(1);
  expect(validate(second, true, 121_000)).toBe('validMac1');
  expect(draws()).toBe(2);
});

test('even with a cookie a source is rationed', () => {
  const { jar, message, validate, reply } = setUp();
  const first = message(148);
  jar.addMacs(first, 0);
  jar.consumeReply(reply(first), 0, 0);
  const second = message(148, 2);
  jar.addMacs(second, 0);
  const states = Array.from({ length: 7 }, () => validate(second, true, 100));
  expect(states).toEqual([...Array(5).fill('validCookie'), 'rateLimited', 'rateLimited']);
  expect(validate(second, true, 150)).toBe('validCookie');
  // what has no valid cookie is not counted
  for (let i = 0; i < 10; i++) expect(validate(first, true, 150)).toBe('validMac1');
});

test('without a key of ours nothing is valid and nothing is answered', () => {
  const { checker, jar, message } = setUp();
  const first = message(148);
  jar.addMacs(first, 0);
  checker.setPublicKey(null);
  expect(checker.validate(first, 0, 148, HERE, false, 0)).toBe('invalid');
  expect(checker.makeReply(first, 0, 148, HERE, NONCE, 0)).toBeNull();
});

test('messages are found at an offset', () => {
  const { checker, jar, message } = setUp();
  const first = message(92);
  jar.addMacs(first, 0);
  const shifted = Uint8Array.from([1, 2, 3, ...first, 4]);
  expect(checker.validate(shifted, 3, 92, HERE, false, 0)).toBe('validMac1');
  expect(jar.consumeReply(checker.makeReply(shifted, 3, 92, HERE, NONCE, 0)!, 0, 0)).toBe(true);
});
