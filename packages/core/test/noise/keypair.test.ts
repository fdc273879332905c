import { describe, expect, test } from '@jest/globals';
import { KEY_LENGTH } from '../../src/noise/crypto.js';
import { Keypair, KeypairSet, OPEN_FORGED, OPEN_REPLAYED } from '../../src/noise/keypair.js';
import { nativeCrypto } from '../../src/noise/native.js';
import { writeTransportHeader } from '../../src/messages/write.js';
import { Slab } from '../../src/slab/slab.js';
import { keyOf } from './providers.js';

let count = 0;
function make(isInitiator: boolean, birth = 0): Keypair {
  const keys = { send: keyOf(1), receive: keyOf(2), isInitiator, localIndex: ++count, remoteIndex: 77 };
  return new Keypair(nativeCrypto, keys, birth);
}
const initiator = (birth?: number) => make(true, birth);
const responder = (birth?: number) => make(false, birth);

function set() {
  const dropped: Keypair[] = [];
  const keypairs = new KeypairSet((keypair) => {
    expect(keypair.isWiped).toBe(true);
    dropped.push(keypair);
  });
  const places = () => [keypairs.previous, keypairs.current, keypairs.next];
  return { keypairs, dropped, places };
}

describe('rotation', () => {
  test('as the initiator, a new keypair is current at once', () => {
    const { keypairs, dropped, places } = set();
    const [a, b, c] = [initiator(), initiator(), initiator()];
    keypairs.add(a);
    expect(places()).toEqual([null, a, null]);
    keypairs.add(b);
    expect(places()).toEqual([a, b, null]);
    keypairs.add(c);
    expect(places()).toEqual([b, c, null]);
    expect(dropped).toEqual([a]);
  });

  test('as the responder, it waits for the first message under it', () => {
    const { keypairs, dropped, places } = set();
    const [a, b] = [responder(), responder()];
    keypairs.add(a);
    expect(places()).toEqual([null, null, a]);
    expect(keypairs.received(a)).toBe(true);
    expect(places()).toEqual([null, a, null]);
    expect(keypairs.received(a)).toBe(false);
    keypairs.add(b);
    expect(places()).toEqual([null, a, b]);
    expect(keypairs.received(a)).toBe(false);
    expect(keypairs.received(b)).toBe(true);
    expect(places()).toEqual([a, b, null]);
    expect(dropped).toEqual([]);
  });

  test('as the responder, the previous and an unconfirmed one are dropped', () => {
    const { keypairs, dropped, places } = set();
    const [a, b, c, d] = [initiator(), initiator(), responder(), responder()];
    keypairs.add(a);
    keypairs.add(b);
    keypairs.add(c);
    expect(places()).toEqual([null, b, c]);
    expect(dropped).toEqual([a]);
    keypairs.add(d);
    expect(places()).toEqual([null, b, d]);
    expect(dropped).toEqual([a, c]);
  });

  test('as the initiator, an old unconfirmed one is dropped: messages on their way are under the current', () => {
    const { keypairs, dropped, places } = set();
    const [a, b, c] = [initiator(), responder(1_000), initiator(6_001)];
    keypairs.add(a);
    keypairs.add(b);
    keypairs.add(c);
    expect(places()).toEqual([a, c, null]);
    expect(dropped).toEqual([b]);
  });

  test('as the initiator, an unconfirmed one becomes the previous and the current is dropped', () => {
    const { keypairs, dropped, places } = set();
    const [a, b, c] = [initiator(), responder(), initiator()];
    keypairs.add(a);
    keypairs.add(b);
    keypairs.add(c);
    expect(places()).toEqual([b, c, null]);
    expect(dropped).toEqual([a]);
    expect(keypairs.received(b)).toBe(false);
  });

  test('a confirmation drops the previous', () => {
    const { keypairs, dropped, places } = set();
    const [a, b, c] = [initiator(), responder(), responder()];
    keypairs.add(a);
    keypairs.add(b);
    keypairs.received(b);
    keypairs.add(c);
    expect(dropped).toEqual([a]);
    keypairs.received(c);
    expect(places()).toEqual([b, c, null]);
  });

  test('clear drops all, each once', () => {
    const { keypairs, dropped, places } = set();
    const [a, b] = [initiator(), responder()];
    keypairs.add(a);
    keypairs.add(b);
    keypairs.clear();
    keypairs.clear();
    expect(places()).toEqual([null, null, null]);
    expect(new Set(dropped)).toEqual(new Set([a, b]));
    expect(dropped).toHaveLength(2);
  });

  test('expire ends sending, not receiving', () => {
    const { keypairs } = set();
    const [a, b] = [initiator(), responder()];
    keypairs.add(a);
    keypairs.add(b);
    keypairs.expire();
    expect([a.canSend(0), b.canSend(0), a.canReceive(0), b.canReceive(0)]).toEqual([false, false, true, true]);
  });
});

describe('a keypair', () => {
  test('ends at 180 s', () => {
    const keypair = initiator(1000);
    expect([keypair.canSend(180_999), keypair.canReceive(180_999)]).toEqual([true, true]);
    expect([keypair.canSend(181_000), keypair.canReceive(181_000)]).toEqual([false, false]);
  });

  test('counts in 64 bits', () => {
    const keypair = initiator();
    const take = () => {
      keypair.nextCounter();
      return [keypair.counterHi, keypair.counterLo];
    };
    expect([take(), take()]).toEqual([
      [0, 0],
      [0, 1],
    ]);
    keypair.nextLo = 0xffffffff;
    expect([take(), take()]).toEqual([
      [0, 0xffffffff],
      [1, 0],
    ]);
  });

  test('wants a new handshake after 2^60 messages', () => {
    const keypair = initiator();
    keypair.nextHi = 0x0fffffff;
    keypair.nextLo = 0xffffffff;
    expect(keypair.wantsRekeyAfterSending).toBe(false);
    keypair.nextCounter();
    expect(keypair.wantsRekeyAfterSending).toBe(true);
  });

  test('sends its last message with counter 2^64 − 2^13 − 2', () => {
    const keypair = initiator();
    keypair.nextHi = 0xffffffff;
    keypair.nextLo = 0xffffdffe;
    expect(keypair.canSend(0)).toBe(true);
    keypair.nextCounter();
    expect(keypair.canSend(0)).toBe(false);
    expect(() => keypair.nextCounter()).toThrow(RangeError);
    expect(keypair.canReceive(0)).toBe(true);
  });

  test('takes the keys over', () => {
    const keys = { send: keyOf(1), receive: keyOf(2), isInitiator: true, localIndex: 1, remoteIndex: 2 };
    new Keypair(nativeCrypto, keys, 0);
    expect([keys.send, keys.receive]).toEqual([new Uint8Array(KEY_LENGTH), new Uint8Array(KEY_LENGTH)]);
  });

  test('opens each message once, and none that is forged', () => {
    const slab = Slab.plain(8192);
    const [alice, bob] = [
      new Keypair(
        nativeCrypto,
        { send: keyOf(1), receive: keyOf(2), isInitiator: true, localIndex: 1, remoteIndex: 2 },
        0,
      ),
      new Keypair(
        nativeCrypto,
        { send: keyOf(2), receive: keyOf(1), isInitiator: false, localIndex: 2, remoteIndex: 1 },
        0,
      ),
    ];
    const write = (at: number, length: number) => {
      alice.nextCounter();
      const { counterHi, counterLo } = alice;
      writeTransportHeader(slab.bytes, at, alice.remoteIndex, counterHi, counterLo);
      alice.send.seal(counterHi, counterLo, slab, at + 16, length, slab, at + 16);
    };
    slab.bytes.fill(7, 16, 48);
    write(0, 32);
    write(1024, 0);
    slab.bytes[40]! ^= 1;
    expect(bob.open(slab, 0, 64, slab, 4096)).toBe(OPEN_FORGED);
    slab.bytes[40]! ^= 1;
    expect(bob.open(slab, 0, 64, slab, 4096)).toBe(32);
    expect(slab.bytes.subarray(4096, 4128)).toEqual(new Uint8Array(32).fill(7));
    expect(bob.open(slab, 0, 64, slab, 4096)).toBe(OPEN_REPLAYED);
    expect(bob.open(slab, 1024, 32, slab, 4096)).toBe(0);
    expect(bob.open(slab, 1024, 31, slab, 4096)).toBe(OPEN_FORGED);
    slab.bytes[1032]! ^= 0x40;
    expect(bob.open(slab, 1024, 32, slab, 4096)).toBe(OPEN_FORGED);
    bob.wipe();
    expect(bob.open(slab, 1024, 32, slab, 4096)).toBe(OPEN_FORGED);
    expect([bob.canSend(0), bob.canReceive(0)]).toEqual([false, false]);
  });
});
