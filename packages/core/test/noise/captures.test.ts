import { describe, expect, test } from '@jest/globals';
import { MessageType } from '../../src/messages/constants.js';
import { counterHi, counterLo, receiverIndex } from '../../src/messages/parse.js';
import { cookieKey, hasMac2, mac1Key, verifyMac1, verifyMac2 } from '../../src/cookie/mac.js';
import { CookieJar } from '../../src/cookie/jar.js';
import type { Crypto } from '../../src/noise/crypto.js';
import { Handshake } from '../../src/noise/handshake.js';
import { LocalIdentity, clamp } from '../../src/noise/identity.js';
import { openInitiation } from '../../src/noise/initiation.js';
import { nativeCrypto } from '../../src/noise/native.js';
import { ReplayWindow } from '../../src/noise/replay.js';
import { readInitiation, readResponse } from '../../src/noise/transcript.js';
import type { InitiationTranscript, TranscriptKeys, TranscriptSession } from '../../src/noise/transcript.js';
import { Slab } from '../../src/slab/slab.js';
import { PROVIDERS, hex, toHex } from './providers.js';
import { messagesOf, sidecar } from './walk.js';

/** Ground truth: messages that the Linux kernel made, with the keys that it made them with. */

const b64 = (text: string) => Uint8Array.from(Buffer.from(text, 'base64'));

function load(name: string) {
  const truth = sidecar(name);
  const psk = truth.preshared_key === null ? undefined : b64(truth.preshared_key);
  return {
    truth,
    messages: messagesOf(name),
    psk,
    statics: { A: b64(truth.A.private_key), B: b64(truth.B.private_key) },
    ephemerals: truth.handshake_ephemeral_private_keys.map(b64),
  };
}
type Capture = ReturnType<typeof load>;
const ofType = ({ messages }: Capture, type: MessageType) => messages.filter(({ bytes }) => bytes[0] === type);

/** Reads all handshakes of a capture, trying every known ephemeral key, with A or B as the initiator. */
function readAll(crypto: Crypto, capture: Capture) {
  const counts = { init_ok: 0, resp_ok: 0 };
  const initiations: [InitiationTranscript, TranscriptKeys][] = [];
  const byPublic = new Map(capture.ephemerals.map((key) => [toHex(crypto.publicKey(key)), key]));
  const ephemeralOf = (bytes: Uint8Array, at: number) => byPublic.get(toHex(bytes.subarray(at, at + 32)));
  for (const { bytes } of ofType(capture, MessageType.initiation)) {
    for (const [initiatorStaticPrivate, responderStaticPrivate] of [
      [capture.statics.A, capture.statics.B],
      [capture.statics.B, capture.statics.A],
    ] as const) {
      const keys: TranscriptKeys = {
        initiatorStaticPrivate,
        responderStaticPrivate,
        initiatorEphemeralPrivate: ephemeralOf(bytes, 8)!,
        ...(capture.psk && { presharedKey: capture.psk }),
      };
      const read = readInitiation(crypto, bytes, 0, keys);
      if (read.static === 'failed') continue;
      expect([read.static, read.timestamp]).toEqual(['verified', 'verified']);
      expect(read.initiatorStatic).toEqual(crypto.publicKey(initiatorStaticPrivate));
      counts.init_ok++;
      initiations.push([read, keys]);
    }
  }
  const sessions: TranscriptSession[] = [];
  for (const { bytes } of ofType(capture, MessageType.response)) {
    for (const [initiation, keys] of initiations) {
      const responderEphemeralPrivate = ephemeralOf(bytes, 12)!;
      const read = readResponse(crypto, initiation, bytes, 0, { ...keys, responderEphemeralPrivate });
      if (read.nothing !== 'verified') continue;
      counts.resp_ok++;
      sessions.push(read.keys!);
    }
  }
  return { counts, initiations, sessions };
}

const NAMES = `tcp-bulk tcp-bulk-lossy tcp-bulk-offload tcp-connect-blackhole tcp-connect-refused tcp-connection-blast
  tcp-fragments tcp-handshake-ping-v4 tcp-handshake-ping-v6 tcp-linkup-both tcp-linkup-redial tcp-persistent-keepalive
  tcp-reconnect tcp-rekey tcp-resync-garbage tcp-roam tcp-short-writes tcp-short-writes-garbage tcp-both-dial-v4 tcp-wrong-key
  udp-cookie udp-handshake-ping udp-rekey udp-roam`.split(/\s+/);

test.each(NAMES)('%s: every handshake and every transport message verifies', (name) => {
  const capture = load(name);
  const { counts, initiations, sessions } = readAll(nativeCrypto, capture);
  const { decryption, handshake_log } = capture.truth.derived_from_capture;
  expect(counts).toEqual({ init_ok: decryption.init_ok, resp_ok: decryption.resp_ok ?? 0 });
  const stamps = handshake_log.filter(([, what]) => what === 'initiation').map((entry) => entry.at(-1));
  expect(initiations.map(([read]) => toHex(read.tai64n!)).sort()).toEqual([...stamps].sort());

  const receivers = new Map(
    sessions.flatMap((session) => [
      [session.responderIndex, { key: session.initiatorToResponder, window: new ReplayWindow() }],
      [session.initiatorIndex, { key: session.responderToInitiator, window: new ReplayWindow() }],
    ]),
  );
  const slab = Slab.plain(1 << 17);
  let opened = 0;
  let keepalives = 0;
  for (const { bytes } of ofType(capture, MessageType.transport)) {
    const { key, window } = receivers.get(receiverIndex(bytes, 0))!;
    const [hi, lo] = [counterHi(bytes, 0), counterLo(bytes, 0)];
    slab.bytes.set(bytes);
    expect(nativeCrypto.cipher(key).open(hi, lo, slab, 16, bytes.length - 16, slab, 16)).toBe(true);
    expect(window.accept(hi, lo)).toBe(true);
    opened++;
    if (bytes.length === 32) keepalives++;
  }
  expect([opened, keepalives]).toEqual([decryption.data_ok ?? 0, decryption.keepalive ?? 0]);
});

test.each(NAMES)('%s: every MAC1 verifies', (name) => {
  const capture = load(name);
  const keys = [capture.truth.A, capture.truth.B].map((side) => mac1Key(nativeCrypto, b64(side.public_key)));
  for (const type of [MessageType.initiation, MessageType.response]) {
    for (const { bytes } of ofType(capture, type)) {
      expect(keys.filter((key) => verifyMac1(nativeCrypto, key, bytes, 0, bytes.length))).toHaveLength(1);
      if (!name.startsWith('udp-cookie')) expect(hasMac2(bytes, 0, bytes.length)).toBe(false);
    }
  }
});

test('udp-cookie: cookies open, and the MAC2s made with them verify', () => {
  const capture = load('udp-cookie');
  const publics = [capture.truth.A, capture.truth.B].map((side) => b64(side.public_key));
  const cookies: Uint8Array[] = [];
  let lastMac1 = new Uint8Array();
  const seen: string[] = [];
  for (const { bytes } of capture.messages) {
    if (bytes[0] === MessageType.cookieReply) {
      for (const key of publics.map((p) => cookieKey(nativeCrypto, p))) {
        const cookie = nativeCrypto.xopen(key, bytes.subarray(8, 32), bytes.subarray(32, 64), lastMac1);
        if (cookie !== null) cookies.push(cookie);
      }
    } else if (bytes[0] !== MessageType.transport) {
      lastMac1 = bytes.slice(bytes.length - 32, bytes.length - 16);
      if (hasMac2(bytes, 0, bytes.length)) {
        expect(cookies.some((cookie) => verifyMac2(nativeCrypto, cookie, bytes, 0, bytes.length))).toBe(true);
        seen.push('mac2 set');
      } else {
        seen.push('mac2 zero');
      }
    }
  }
  const log = capture.truth.derived_from_capture.handshake_log;
  expect(seen).toEqual(log.flatMap((entry) => entry.filter((x) => typeof x === 'string' && x.startsWith('mac2'))));
  expect(cookies).toHaveLength(2);
});

/** The first completed handshake of a capture: initiation, its response, and the ephemeral keys of both. */
function firstHandshake(crypto: Crypto, capture: Capture) {
  const ephemeral = (message: Uint8Array, at: number) =>
    capture.ephemerals.find((key) => toHex(crypto.publicKey(key)) === toHex(message.subarray(at, at + 32)))!;
  const response = ofType(capture, MessageType.response)[0]!.bytes;
  const initiation = ofType(capture, MessageType.initiation).find(
    ({ bytes }) => toHex(bytes.subarray(4, 8)) === toHex(response.subarray(8, 12)),
  )!.bytes;
  return {
    initiation,
    response,
    initiatorEphemeral: ephemeral(initiation, 8),
    responderEphemeral: ephemeral(response, 12),
  };
}

describe.each(PROVIDERS)('on %s', (_name, crypto) => {
  test.each(['tcp-handshake-ping-v4', 'tcp-handshake-ping-v6', 'udp-rekey', 'udp-cookie'])(
    '%s: the handshake makes the very bytes that the kernel made, in both roles',
    (name) => {
      const capture = load(name);
      const { initiation, response, initiatorEphemeral, responderEphemeral } = firstHandshake(crypto, capture);
      const idA = new LocalIdentity(crypto, capture.statics.A);
      const idB = new LocalIdentity(crypto, capture.statics.B);
      expect(idA.publicKey).toEqual(b64(capture.truth.A.public_key));
      expect(idA.privateKey).toEqual(clamp(capture.statics.A));
      const atA = new Handshake(crypto, idA, idB.publicKey, capture.psk);
      const atB = new Handshake(crypto, idB, idA.publicKey, capture.psk);
      const index = (bytes: Uint8Array) => new DataView(bytes.buffer).getUint32(4, true);

      const opened = openInitiation(crypto, idB, initiation, 0)!;
      expect(opened.remoteStatic).toEqual(idA.publicKey);
      expect(atB.consumeInitiation(opened, 0)).toBe('accepted');
      const ours = atA.createInitiation(initiatorEphemeral, index(initiation), atB.latestTimestamp)!;
      const jar = new CookieJar(crypto, idB.publicKey);
      jar.addMacs(ours, 0);
      expect(toHex(ours.subarray(0, 132))).toBe(toHex(initiation.subarray(0, 132)));

      const ourResponse = atB.createResponse(responderEphemeral, index(response))!;
      new CookieJar(crypto, idA.publicKey).addMacs(ourResponse, 0);
      expect(toHex(ourResponse.subarray(0, 76))).toBe(toHex(response.subarray(0, 76)));
      expect(atA.consumeResponse(response, 0)).toBe(true);

      const session = readAll(crypto, capture).sessions.find((s) => s.responderIndex === index(response))!;
      expect(atA.deriveKeys()).toMatchObject({
        send: session.initiatorToResponder,
        receive: session.responderToInitiator,
      });
      expect(atB.deriveKeys()).toMatchObject({
        send: session.responderToInitiator,
        receive: session.initiatorToResponder,
      });
    },
  );
});

describe('which keys are enough', () => {
  const capture = load('udp-rekey');
  const { initiation, response, initiatorEphemeral, responderEphemeral } = firstHandshake(nativeCrypto, capture);
  const publicOf = (key: Uint8Array) => nativeCrypto.publicKey(key);
  const all = {
    is: { initiatorStaticPrivate: capture.statics.A },
    IS: { initiatorStaticPublic: publicOf(capture.statics.A) },
    rs: { responderStaticPrivate: capture.statics.B },
    RS: { responderStaticPublic: publicOf(capture.statics.B) },
    ie: { initiatorEphemeralPrivate: initiatorEphemeral },
    re: { responderEphemeralPrivate: responderEphemeral },
    psk: { presharedKey: capture.psk! },
    // wrong ones, which must do no harm
    oie: { initiatorEphemeralPrivate: responderEphemeral },
    zpsk: { presharedKey: new Uint8Array(32) },
  };
  const read = (names: string) => {
    const keys = Object.assign({}, ...names.split(' ').map((n) => all[n as keyof typeof all])) as TranscriptKeys;
    const first = readInitiation(nativeCrypto, initiation, 0, keys);
    const second = readResponse(nativeCrypto, first, response, 0, keys);
    return { first, second, steps: [first.static, first.timestamp, second.nothing].map((s) => s[0]).join('') };
  };

  // v: verified, f: failed, k: keys missing — for static, timestamp and response
  test.each([
    ['is ie RS psk', 'vvv'],
    ['rs re IS psk', 'vvv'],
    ['rs re psk', 'vvv'],
    ['is rs ie re psk', 'vvv'],
    ['is rs re psk', 'vvv'],
    ['is rs ie psk', 'vvv'],
    ['is RS ie re psk', 'vvv'],
    ['rs ie re psk', 'vvv'],
    ['rs ie psk', 'vvk'],
    ['is rs psk', 'vvk'],
    ['rs psk', 'vvk'],
    ['ie RS psk', 'vkk'],
    ['is RS re psk', 'kkk'],
    ['is ie psk', 'kkk'],
    ['IS RS psk', 'kkk'],
    ['psk', 'kkk'],
    ['is ie RS', 'vvf'],
    ['is ie RS zpsk', 'vvf'],
    ['is oie RS psk', 'kkk'],
    ['is oie rs psk', 'vvk'],
  ])('%s: %s', (names, steps) => {
    const { first, second, ...rest } = read(names);
    expect(rest.steps).toBe(steps);
    if (steps[1] === 'v') expect(toHex(first.tai64n!)).toBe('400000006b0152b916000000');
    if (steps[0] === 'v') expect(first.initiatorStatic).toEqual(publicOf(capture.statics.A));
    expect(second.keys !== null).toBe(steps[2] === 'v');
  });

  test('every damaged byte is found', () => {
    const { rs, re, psk } = all;
    const keys = { ...rs, ...re, ...psk };
    const sound = readInitiation(nativeCrypto, initiation, 0, keys);
    for (let i = 8; i < 116; i++) {
      const damaged = initiation.slice();
      damaged[i]! ^= 4;
      const got = readInitiation(nativeCrypto, damaged, 0, keys);
      expect([got.static, got.timestamp]).toEqual(i < 88 ? ['failed', 'keysMissing'] : ['verified', 'failed']);
      expect(readResponse(nativeCrypto, got, response, 0, keys).keys).toBeNull();
    }
    for (let i = 8; i < 60; i++) {
      const damaged = response.slice();
      damaged[i]! ^= 4;
      expect(readResponse(nativeCrypto, sound, damaged, 0, keys).keys).toBeNull();
    }
    expect(readResponse(nativeCrypto, sound, response, 0, keys).nothing).toBe('verified');
  });

  test('a low-order ephemeral is keys missing, not a crash', () => {
    const damaged = initiation.slice();
    damaged.set(hex('00'.repeat(32)), 8);
    expect(readInitiation(nativeCrypto, damaged, 0, all.rs).static).toBe('keysMissing');
  });
});
