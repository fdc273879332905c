import { describe, expect, test } from '@jest/globals';
import type { Crypto } from '../../src/noise/crypto.js';
import { nativeCrypto } from '../../src/noise/native.js';
import { World } from '../../src/sim/world.js';
import { writeHeader } from '../../src/stream/header.js';
import { PENDING_UNKNOWN_MAX } from '../../src/stream/pending.js';

/** A record with a data message (`type` 4) or response (2) under an index that nobody has. */
function record(type: 4 | 2, length: number): Uint8Array {
  const bytes = new Uint8Array(8 + length).fill(0x77);
  writeHeader(bytes, 0, length);
  bytes.set([type, 0, 0, 0], 8);
  return bytes;
}

function times(count: number, bytes: Uint8Array): Uint8Array {
  const out = new Uint8Array(count * bytes.length);
  for (let i = 0; i < count; i++) out.set(bytes, i * bytes.length);
  return out;
}

/** The primitives, and how often any of them was called. */
function counted(): [Crypto, () => number] {
  let calls = 0;
  const crypto = new Proxy(nativeCrypto, {
    get(target, name) {
      const value = target[name as keyof Crypto] as unknown;
      if (typeof value !== 'function') return value;
      return (...args: unknown[]): unknown => {
        calls++;
        return (value as (...args: unknown[]) => unknown).apply(target, args);
      };
    },
  });
  return [crypto, () => calls];
}

/** One host that is told nothing of the other, and what it counted. */
function alone(): { world: World; calls: () => number; unknown: () => number } {
  const [crypto, calls] = counted();
  const world = new World({ seed: 1, crypto, knows: () => false });
  world.run(100);
  const { device } = world.host(0);
  return { world, calls, unknown: () => device.drops.get('unknown-index') };
}

// That a stranger gets no byte is checked by the simulation itself (sim/stranger.ts).
describe('a stranger that sends messages under unknown indices', () => {
  test('has its place until its time is up, and no longer, however it goes on', () => {
    const { world, unknown } = alone();
    const stranger = world.stranger(0);
    for (let at = 0; at < 60_000; at += 500) world.clock.after(at, () => stranger.say(record(4, 48)));
    world.run(29_900);
    expect(stranger.ended).toBeNull();
    world.run(1_200);
    expect(stranger.ended).toBe('eof');
    const { size, refusals } = world.host(0).device.pending.snapshot();
    expect([size, refusals['too-slow']]).toEqual([0, 1]);
    const heard = unknown();
    world.run(30_000);
    expect([heard >= 58, unknown()]).toEqual([true, heard]);
    world.stop();
  });

  test('costs no cryptography, and after a number of messages nothing at all', () => {
    const { world, calls, unknown } = alone();
    const before = calls();
    const stranger = world.stranger(0);
    stranger.say(times(2 * PENDING_UNKNOWN_MAX, record(4, 32)));
    world.run(2_000);
    expect(unknown()).toBe(PENDING_UNKNOWN_MAX);
    expect(calls()).toBe(before);
    // Not listened to any more, it is closed like one that is silent.
    world.run(5_000);
    expect(stranger.ended).not.toBeNull();
    expect(world.host(0).device.pending.snapshot()).toMatchObject({ size: 0, refusals: { idle: 1 } });
    world.stop();
  });

  test('a long message that does not end costs no memory: it is not listened to from its header on', () => {
    const { world, unknown } = alone();
    const stranger = world.stranger(0);
    stranger.say(record(4, 60_000).subarray(0, 3_000));
    world.run(100);
    stranger.say(record(4, 60_000).subarray(3_000));
    world.run(100);
    expect(unknown()).toBe(0);
    world.run(6_000);
    expect(stranger.ended).not.toBeNull();
    world.stop();
  });

  test('one message that is not what it claims to be is the last that is heard', () => {
    const { world, unknown } = alone();
    const { device } = world.host(0);
    const stranger = world.stranger(0);
    // A response without a MAC1.
    for (const bytes of [record(4, 32), record(2, 92), record(2, 92), record(4, 32)]) stranger.say(bytes);
    world.run(100);
    expect([unknown(), device.drops.get('bad-mac1')]).toEqual([1, 1]);
    world.stop();
  });
});
