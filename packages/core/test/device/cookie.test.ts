import { expect, test } from '@jest/globals';
import { CookieChecker } from '../../src/cookie/checker.js';
import { RateLimiter } from '../../src/cookie/ratelimiter.js';
import type { Endpoint } from '../../src/address/endpoint.js';
import { configure } from '../../src/device/configure.js';
import { Device } from '../../src/device/device.js';
import { classify } from '../../src/messages/parse.js';
import { nativeCrypto } from '../../src/noise/native.js';
import { Slab } from '../../src/slab/slab.js';
import { muteDriver } from '../support/mutedriver.js';
import { ipv4Packet, pairSettings } from '../support/pair.js';

const HERE: Endpoint = { family: 4, address: '192.0.2.1', port: 51820 };
const THERE: Endpoint = { family: 4, address: '192.0.2.2', port: 51820 };

/** A device over UDP whose peer, all by hand, is under load: what is sent is kept with its time, and time stands until it is moved on. */
function setUp() {
  const sent: { at: number; bytes: Uint8Array }[] = [];
  let now = 1_000;
  const slab = Slab.plain(4096);
  const datagrams = {
    slab,
    reserve: () => 0,
    commit: (offset: number, length: number) =>
      void sent.push({ at: now, bytes: slab.bytes.slice(offset, offset + length) }),
  };
  const driver = muteDriver(datagrams, {
    random: (out) => void out.fill(7),
    wallTime: () => 1_700_000_000_000 + now,
  });
  const device = new Device(driver, nativeCrypto, { mtu: 1420 });
  configure(device, now, pairSettings(1, { transport: 'udp', endpoint: THERE }));
  const loaded = new CookieChecker(nativeCrypto, new RateLimiter(), (out) => void out.fill(9));
  loaded.setPublicKey(nativeCrypto.publicKey(new Uint8Array(32).fill(2)));
  const judge = (bytes: Uint8Array) => loaded.validate(bytes, 0, bytes.length, HERE, true, now);
  return {
    sent,
    judge,
    send() {
      const packet = Slab.plain(4096);
      packet.bytes.set(ipv4Packet(1, 2, 84));
      device.packet(now, packet, 0, 84);
    },
    /** Answers the last message with a cookie. */
    answer() {
      const { bytes } = sent.at(-1)!;
      const reply = loaded.makeReply(bytes, 0, bytes.length, HERE, new Uint8Array(24).fill(sent.length), now)!;
      const incoming = Slab.plain(4096);
      incoming.bytes.set(reply);
      device.datagram(now, incoming, 0, reply.length, THERE);
    },
    /** Lets time pass, and calls the device whenever it wants to be called. */
    until(end: number) {
      for (let at = device.nextWakeAt(); at <= end; at = device.nextWakeAt()) {
        now = Math.max(now, at);
        device.wake(now);
      }
      now = end;
    },
  };
}

test('with its first cookie an initiation is repeated after a second, and not sooner', () => {
  const { sent, judge, send, answer, until } = setUp();
  send();
  expect(sent.map(({ bytes }) => [classify(bytes, 0, bytes.length), judge(bytes)])).toEqual([[1, 'validMac1']]);
  until(1_040);
  answer();
  // Nothing goes out in answer: whoever can send cookie replies must not be able to make us send more than that.
  send();
  until(2_039);
  expect(sent).toHaveLength(1);
  until(2_040);
  expect(sent.map(({ at }) => at)).toEqual([1_000, 2_040]);
  expect(judge(sent[1]!.bytes)).toBe('validCookie');
});

test('further cookies hurry nothing: the next repetition comes after five seconds', () => {
  const { sent, send, answer, until } = setUp();
  send();
  answer();
  until(2_000);
  expect(sent).toHaveLength(2);
  answer();
  until(6_999);
  expect(sent).toHaveLength(2);
  until(7_334);
  expect(sent).toHaveLength(3);
});

test('a cookie that comes when the repetition is due anyway puts nothing off', () => {
  const { sent, send, answer, until } = setUp();
  send();
  until(5_900);
  answer();
  until(6_334);
  expect(sent).toHaveLength(2);
});
