import { describe, expect, test } from '@jest/globals';
import { PeerTimers, type TimerName } from '../../src/device/timers.js';

/** Lets time pass until nothing is due any more, or the limit. @returns what came due, with when */
function run(timers: PeerTimers, until: number): [number, TimerName][] {
  const out: [number, TimerName][] = [];
  for (let at = timers.next(); at <= until; at = timers.next()) {
    for (let name = timers.expired(at); name !== null; name = timers.expired(at)) out.push([at, name]);
  }
  return out;
}

const make = (random = 0) => new PeerTimers(() => random);

describe('timers of a peer (paper §6, kernel timers.c)', () => {
  test('an initiation is repeated after 5 s and up to a third of a second', () => {
    for (const [random, at] of [
      [0, 6000],
      [0.999999, 6332.999667],
    ] as const) {
      const timers = make(random);
      timers.initiationSent(1000);
      expect(timers.retryHandshake).toBeCloseTo(at, 3);
    }
  });

  test('a completed handshake ends the repeating', () => {
    const timers = make();
    timers.initiationSent(0);
    timers.attempts = 3;
    timers.handshakeComplete();
    expect([timers.next(), timers.attempts]).toEqual([Infinity, 0]);
  });

  test('data received is answered by a keepalive after 10 s of silence, once', () => {
    const timers = make();
    timers.dataReceived(0);
    expect(run(timers, 1e6)).toEqual([[10_000, 'send-keepalive']]);
  });

  test('more data received meanwhile asks for one more keepalive, however much it is', () => {
    const timers = make();
    for (const at of [0, 1000, 2000, 9000]) timers.dataReceived(at);
    expect(run(timers, 1e6)).toEqual([
      [10_000, 'send-keepalive'],
      [20_000, 'send-keepalive'],
    ]);
  });

  test('anything sent makes the keepalive unnecessary', () => {
    const timers = make();
    timers.dataReceived(0);
    timers.anySent();
    expect(timers.next()).toBe(Infinity);
  });

  test('data sent and nothing received for 15 s asks for a new handshake; later data does not push it back', () => {
    const timers = make();
    timers.dataSent(0);
    timers.dataSent(14_000);
    expect(run(timers, 1e6)).toEqual([[15_000, 'new-handshake']]);
    timers.dataSent(20_000);
    timers.anyReceived();
    expect(timers.next()).toBe(Infinity);
  });

  test('keys are wiped three reject times after the last session', () => {
    const timers = make();
    timers.sessionDerived(0);
    timers.sessionDerived(1000);
    expect(run(timers, 1e7)).toEqual([[541_000, 'wipe-keys']]);
  });

  test('giving up leaves what is left of the keys’ time', () => {
    const timers = make();
    timers.sessionDerived(0);
    timers.gaveUp(100_000);
    expect(timers.wipeKeys).toBe(540_000);
    const fresh = make();
    fresh.dataReceived(0);
    fresh.gaveUp(0);
    expect(run(fresh, 1e7)).toEqual([[540_000, 'wipe-keys']]);
  });

  test('persistent keepalive counts from the last message either way', () => {
    const timers = make();
    timers.persistentInterval = 25;
    timers.anyTraversal(0);
    timers.anyTraversal(7000);
    expect(run(timers, 1e6)).toEqual([[32_000, 'persistent-keepalive']]);
    timers.persistentInterval = 0;
    timers.anyTraversal(40_000);
    expect(timers.next()).toBe(Infinity);
  });

  test('nothing is due before its time', () => {
    const timers = make();
    timers.dataReceived(0);
    expect(timers.expired(9_999)).toBeNull();
    expect(timers.expired(10_000)).toBe('send-keepalive');
  });
});
