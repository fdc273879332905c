import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { CookieJar } from '../../src/cookie/jar.js';
import { Handshake } from '../../src/noise/handshake.js';
import { LocalIdentity } from '../../src/noise/identity.js';
import { openInitiation } from '../../src/noise/initiation.js';
import { nativeCrypto } from '../../src/noise/native.js';
import type { Crypto } from '../../src/noise/crypto.js';
import { readInitiation, readResponse } from '../../src/noise/transcript.js';
import { LOW_ORDER, PROVIDERS, hex, keyOf, toHex } from './providers.js';

const stamp = (n: number) => hex(`40000000${n.toString(16).padStart(8, '0')}00000000`);

/** Two peers that know each other; all keys are fixed. */
function pair(a: Crypto = nativeCrypto, b: Crypto = nativeCrypto, psk?: Uint8Array, pskOfB = psk) {
  const idA = new LocalIdentity(a, keyOf(1));
  const idB = new LocalIdentity(b, keyOf(2));
  return {
    idA,
    idB,
    atA: new Handshake(a, idA, idB.publicKey, psk),
    atB: new Handshake(b, idB, idA.publicKey, pskOfB),
  };
}

function deliver(to: Handshake, id: LocalIdentity, message: Uint8Array, now = 0, crypto: Crypto = nativeCrypto) {
  const opened = openInitiation(crypto, id, message, 0);
  return opened === null ? 'unopened' : to.consumeInitiation(opened, now);
}

describe.each(PROVIDERS)('initiator on %s', (_a, a) => {
  describe.each(PROVIDERS)('responder on %s', (_b, b) => {
    test.each([
      ['without a pre-shared key', undefined],
      ['with one', keyOf(9)],
    ])('both sides get the same transport keys %s', (_name, psk) => {
      const { idB, atA, atB } = pair(a, b, psk);
      const initiation = atA.createInitiation(keyOf(3), 0xfedcba98, stamp(1))!;
      expect(initiation).toHaveLength(148);
      expect(atA.state).toBe('initiationCreated');
      expect(deliver(atB, idB, initiation, 0, b)).toBe('accepted');
      expect([atB.state, atB.remoteIndex]).toEqual(['initiationConsumed', 0xfedcba98]);
      expect(atB.latestTimestamp).toEqual(stamp(1));
      const response = atB.createResponse(keyOf(4), 0x01020304)!;
      expect(response).toHaveLength(92);
      expect(atA.consumeResponse(response, 0)).toBe(true);
      expect([atA.state, atB.state]).toEqual(['responseConsumed', 'responseCreated']);
      const keysA = atA.deriveKeys()!;
      const keysB = atB.deriveKeys()!;
      expect(keysA.send).toEqual(keysB.receive);
      expect(keysA.receive).toEqual(keysB.send);
      expect(keysA.send).not.toEqual(keysA.receive);
      expect(keysA).toMatchObject({ isInitiator: true, localIndex: 0xfedcba98, remoteIndex: 0x01020304 });
      expect(keysB).toMatchObject({ isInitiator: false, localIndex: 0x01020304, remoteIndex: 0xfedcba98 });
      expect([atA.state, atA.localIndex, atA.deriveKeys()]).toEqual(['none', null, null]);
    });
  });
});

test('the pre-shared key counts', () => {
  const { idB, atA, atB } = pair(nativeCrypto, nativeCrypto, keyOf(9), keyOf(10));
  expect(deliver(atB, idB, atA.createInitiation(keyOf(3), 1, stamp(1))!)).toBe('accepted');
  const refused = atB.createResponse(keyOf(4), 2)!;
  expect(atA.consumeResponse(refused, 0)).toBe(false);
  atB.setPresharedKey(keyOf(9));
  expect(deliver(atB, idB, atA.createInitiation(keyOf(5), 1, stamp(2))!, 20)).toBe('accepted');
  expect(atA.consumeResponse(atB.createResponse(keyOf(6), 2)!, 0)).toBe(true);
  atA.setPresharedKey(null);
  expect(deliver(atB, idB, atA.createInitiation(keyOf(7), 1, stamp(3))!, 40)).toBe('accepted');
  expect(atA.consumeResponse(atB.createResponse(keyOf(8), 2)!, 0)).toBe(false);
});

test('messages are found at an offset', () => {
  const { idB, atA, atB } = pair();
  const shifted = (message: Uint8Array) => Uint8Array.from([1, 2, 3, ...message, 4]);
  const opened = openInitiation(nativeCrypto, idB, shifted(atA.createInitiation(keyOf(3), 1, stamp(1))!), 3)!;
  expect(opened.remoteStatic).toEqual(atB.remoteStatic);
  expect(atB.consumeInitiation(opened, 0)).toBe('accepted');
  expect(atA.consumeResponse(shifted(atB.createResponse(keyOf(4), 2)!), 3)).toBe(true);
});

describe('replays and floods', () => {
  test('a timestamp must be newer than any accepted before', () => {
    const { idB, atA, atB } = pair();
    const first = atA.createInitiation(keyOf(3), 1, stamp(5))!;
    expect(deliver(atB, idB, first, 0)).toBe('accepted');
    expect(deliver(atB, idB, first, 1000)).toBe('replayed');
    expect(deliver(atB, idB, atA.createInitiation(keyOf(4), 1, stamp(4))!, 2000)).toBe('replayed');
    expect(atB.state).toBe('initiationConsumed');
    expect(atB.createResponse(keyOf(5), 2)).not.toBeNull();
    atB.clear();
    expect(deliver(atB, idB, first, 3000)).toBe('replayed');
    expect(deliver(atB, idB, atA.createInitiation(keyOf(6), 1, stamp(6))!, 4000)).toBe('accepted');
  });

  test('at most one initiation in 20 ms', () => {
    const { idB, atA, atB } = pair();
    expect(deliver(atB, idB, atA.createInitiation(keyOf(3), 1, stamp(1))!, 100)).toBe('accepted');
    const second = atA.createInitiation(keyOf(4), 1, stamp(2))!;
    expect(deliver(atB, idB, second, 119.9)).toBe('flooding');
    expect(atB.latestTimestamp).toEqual(stamp(1));
    expect(deliver(atB, idB, second, 120)).toBe('accepted');
  });
});

/** Everything of a handshake that can be seen from outside and may not change when a message is refused. */
const visible = (h: Handshake) => [h.state, h.localIndex, h.remoteIndex, toHex(h.latestTimestamp)];

describe('a damaged message changes nothing', () => {
  test('initiation, every byte up to the MACs', () => {
    const { idB, atA, atB } = pair();
    const initiation = atA.createInitiation(keyOf(3), 7, stamp(1))!;
    const before = visible(atB);
    for (let i = 8; i < 116; i++) {
      const damaged = initiation.slice();
      damaged[i]! ^= 1 << (i % 8);
      // X25519 ignores the last bit of a public key, but the hash does not.
      expect(deliver(atB, idB, damaged, 0)).toMatch(/unopened|unauthenticated/);
      expect(visible(atB)).toEqual(before);
    }
    expect(deliver(atB, idB, initiation, 0)).toBe('accepted');
  });

  test('an initiation under way survives', () => {
    const { idA, idB, atA, atB } = pair();
    const ours = atB.createInitiation(keyOf(3), 7, stamp(1))!;
    const theirs = atA.createInitiation(keyOf(4), 8, stamp(1))!;
    theirs[100]! ^= 1;
    expect(deliver(atB, idB, theirs)).toBe('unauthenticated');
    expect(deliver(atA, idA, ours)).toBe('accepted');
    expect(atB.consumeResponse(atA.createResponse(keyOf(5), 9)!, 0)).toBe(true);
  });

  test('response, every byte up to the MACs except the sender index', () => {
    const { idB, atA, atB } = pair();
    deliver(atB, idB, atA.createInitiation(keyOf(3), 7, stamp(1))!);
    const response = atB.createResponse(keyOf(4), 8)!;
    const before = visible(atA);
    for (let i = 8; i < 60; i++) {
      const damaged = response.slice();
      damaged[i]! ^= 1 << (i % 8);
      expect(atA.consumeResponse(damaged, 0)).toBe(false);
      expect(visible(atA)).toEqual(before);
    }
    expect(atA.consumeResponse(response, 0)).toBe(true);
    expect(atA.consumeResponse(response, 0)).toBe(false);
    expect(atA.deriveKeys()!.receive).toEqual(atB.deriveKeys()!.send);
  });
});

describe('what is not asked for', () => {
  test('nothing can be answered or derived out of turn', () => {
    const { idB, atA, atB } = pair();
    expect(atB.createResponse(keyOf(4), 1)).toBeNull();
    expect(atA.deriveKeys()).toBeNull();
    const initiation = atA.createInitiation(keyOf(3), 7, stamp(1))!;
    expect(atA.deriveKeys()).toBeNull();
    deliver(atB, idB, initiation);
    expect(atB.deriveKeys()).toBeNull();
    const response = atB.createResponse(keyOf(4), 8)!;
    expect(atB.createResponse(keyOf(5), 8)).toBeNull();
    atA.clear();
    expect(atA.consumeResponse(response, 0)).toBe(false);
  });

  test('a response to a superseded initiation is refused, one to the newest accepted', () => {
    const { idB, atA, atB } = pair();
    deliver(atB, idB, atA.createInitiation(keyOf(3), 7, stamp(1))!);
    const late = atB.createResponse(keyOf(4), 8)!;
    deliver(atB, idB, atA.createInitiation(keyOf(5), 9, stamp(2))!, 20);
    expect(atA.consumeResponse(late, 0)).toBe(false);
    expect(atA.consumeResponse(atB.createResponse(keyOf(6), 10)!, 0)).toBe(true);
  });

  test('an initiation of one peer is not taken for another', () => {
    const { idA, idB, atA } = pair();
    const stranger = new LocalIdentity(nativeCrypto, keyOf(50));
    const other = new Handshake(nativeCrypto, idB, stranger.publicKey);
    const opened = openInitiation(nativeCrypto, idB, atA.createInitiation(keyOf(3), 7, stamp(1))!, 0)!;
    expect(opened.remoteStatic).toEqual(idA.publicKey);
    expect(other.consumeInitiation(opened, 0)).toBe('unauthenticated');
    expect(openInitiation(nativeCrypto, idA, atA.createInitiation(keyOf(3), 7, stamp(2))!, 0)).toBeNull();
  });

  test('who knows only our public key is not believed to be someone else', () => {
    const { idA, idB, atB } = pair();
    const forger = new LocalIdentity(nativeCrypto, keyOf(60));
    const claim = { privateKey: forger.privateKey, publicKey: idA.publicKey } as LocalIdentity;
    const forged = new Handshake(nativeCrypto, claim, idB.publicKey).createInitiation(keyOf(3), 1, stamp(1))!;
    expect(openInitiation(nativeCrypto, idB, forged, 0)!.remoteStatic).toEqual(idA.publicKey);
    expect(deliver(atB, idB, forged)).toBe('unauthenticated');
  });
});

describe('changing our own key', () => {
  test('forgets the handshake under way, and the new key works', () => {
    const { idB, atA, atB } = pair();
    const old = atA.createInitiation(keyOf(3), 7, stamp(1))!;
    const fresh = new LocalIdentity(nativeCrypto, keyOf(20));
    atA.setLocalIdentity(fresh);
    expect([atA.state, atA.localIndex]).toEqual(['none', null]);
    deliver(atB, idB, old);
    expect(atA.consumeResponse(atB.createResponse(keyOf(4), 8)!, 0)).toBe(false);
    const known = new Handshake(nativeCrypto, idB, fresh.publicKey);
    expect(deliver(known, idB, atA.createInitiation(keyOf(5), 7, stamp(2))!)).toBe('accepted');
    expect(atA.consumeResponse(known.createResponse(keyOf(6), 8)!, 0)).toBe(true);
  });
});

describe('without a key of our own', () => {
  test('nothing is made or believed until there is one, and nothing after it is gone', () => {
    const { idA, idB, atA } = pair();
    const atB = new Handshake(nativeCrypto, null, idA.publicKey);
    expect(atB.isPossible).toBe(false);
    expect(atB.createInitiation(keyOf(3), 1, stamp(1))).toBeNull();
    const initiation = atA.createInitiation(keyOf(4), 2, stamp(1))!;
    expect(deliver(atB, idB, initiation)).toBe('unauthenticated');
    atB.setLocalIdentity(idB);
    expect(deliver(atB, idB, initiation)).toBe('accepted');
    atB.setLocalIdentity(null);
    expect([atB.state, atB.isPossible]).toEqual(['none', false]);
    expect(atB.createResponse(keyOf(5), 3)).toBeNull();
    expect(atB.createInitiation(keyOf(3), 1, stamp(1))).toBeNull();
  });
});

test('a crossing initiation that is only acknowledged leaves ours under way and cannot be replayed', () => {
  const { idA, idB, atA, atB } = pair();
  const ours = atB.createInitiation(keyOf(3), 7, stamp(1))!;
  const theirs = atA.createInitiation(keyOf(4), 8, stamp(1))!;
  const acknowledge = (message: Uint8Array, now: number) =>
    atB.acknowledgeInitiation(openInitiation(nativeCrypto, idB, message, 0)!, now);
  const damaged = theirs.slice();
  damaged[100]! ^= 1;
  expect(acknowledge(damaged, 0)).toBe('unauthenticated');
  expect(acknowledge(theirs, 0)).toBe('accepted');
  expect([atB.state, atB.localIndex]).toEqual(['initiationCreated', 7]);
  expect(acknowledge(atA.createInitiation(keyOf(6), 8, stamp(2))!, 19)).toBe('flooding');
  expect(acknowledge(theirs, 100)).toBe('replayed');
  expect(deliver(atB, idB, theirs, 100)).toBe('replayed');
  expect(deliver(atA, idA, ours)).toBe('accepted');
  expect(atB.consumeResponse(atA.createResponse(keyOf(5), 9)!, 0)).toBe(true);
});

describe.each(PROVIDERS)('low-order public keys on %s', (_name, crypto) => {
  test.each(LOW_ORDER.map((key) => [toHex(key), key] as const))('%s is never spoken to', (_hex, key) => {
    const id = new LocalIdentity(crypto, keyOf(1));
    const peer = new Handshake(crypto, id, key);
    expect(peer.isPossible).toBe(false);
    expect(peer.createInitiation(keyOf(3), 1, stamp(1))).toBeNull();
    expect([peer.state, peer.localIndex]).toEqual(['none', null]);
    const initiation = new Uint8Array(148);
    initiation.set(key, 8);
    expect(openInitiation(crypto, id, initiation, 0)).toBeNull();
  });

  test('a response with a low-order ephemeral is refused and changes nothing', () => {
    const { idB, atA, atB } = pair(crypto, crypto);
    const initiation = atA.createInitiation(keyOf(3), 7, stamp(1))!;
    deliver(atB, idB, initiation, 0, crypto);
    const response = atB.createResponse(keyOf(4), 8)!;
    for (const key of LOW_ORDER) {
      const bad = response.slice();
      bad.set(key, 12);
      expect(atA.consumeResponse(bad, 0)).toBe(false);
    }
    expect(atA.consumeResponse(response, 0)).toBe(true);
  });
});

test('secrets do not outlive the handshake', () => {
  const { idB, atA, atB } = pair();
  const opened = openInitiation(nativeCrypto, idB, atA.createInitiation(keyOf(3), 7, stamp(1))!, 0)!;
  expect(atB.consumeInitiation(opened, 0)).toBe('accepted');
  expect(opened.symmetric.split()).toEqual(
    (() => {
      const wiped = opened.symmetric.clone();
      wiped.wipe();
      return wiped.split();
    })(),
  );
  // the handshake holds a copy of its own, which still works
  expect(atA.consumeResponse(atB.createResponse(keyOf(4), 8)!, 0)).toBe(true);
  atA.destroy();
  expect(atA.createInitiation(keyOf(5), 7, stamp(2))).toBeNull();
});

test.each(PROVIDERS)('random bytes are refused quietly on %s', (_name, crypto) => {
  const { idB, atA } = pair(crypto, crypto);
  atA.createInitiation(keyOf(3), 0, stamp(1));
  const jar = new CookieJar(crypto, idB.publicKey);
  jar.addMacs(new Uint8Array(148), 0);
  const keys = { responderStaticPrivate: idB.privateKey, responderEphemeralPrivate: keyOf(4) };
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 148, maxLength: 148 }), (bytes) => {
      expect(openInitiation(crypto, idB, bytes, 0)).toBeNull();
      bytes.fill(0, 8, 12); // the receiver index that would be ours
      expect(atA.consumeResponse(bytes, 0)).toBe(false);
      expect(jar.consumeReply(bytes, 0, 0)).toBe(false);
      const read = readInitiation(crypto, bytes, 0, keys);
      expect(read.static).not.toBe('verified');
      expect(readResponse(crypto, read, bytes, 0, keys).keys).toBeNull();
    }),
    { numRuns: 25 },
  );
});
