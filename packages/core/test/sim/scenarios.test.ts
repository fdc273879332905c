import { describe, expect, test } from '@jest/globals';
import { nativeCrypto } from '../../src/noise/native.js';
import { World, type WorldOptions } from '../../src/sim/world.js';

const world = (options: Partial<WorldOptions> = {}) => new World({ seed: 1, crypto: nativeCrypto, ...options });
const onlyFirstDials = (from: number) => from === 0;
const lost = (w: World) => w.pings.filter((ping) => ping.repliedAt === Infinity);

describe('first contact', () => {
  test.each([1, 10, 80, 250])('one way %d ms: the first reply is back within 3 round trips and 50 ms', (latency) => {
    const w = world({ lane: { latency }, knows: onlyFirstDials });
    const ping = w.ping(0, 1);
    w.run(10_000);
    expect(ping.repliedAt - ping.sentAt).toBeLessThanOrEqual(3 * 2 * latency + 50);
    w.stop();
  });

  test.each([1, 10, 80, 250])('one way %d ms: both dial at the same instant, and no ping is lost', (latency) => {
    const w = world({ lane: { latency } });
    w.pingEvery(200, 0, 1, 25);
    w.pingEvery(200, 1, 0, 25);
    w.run(10_000);
    expect(lost(w)).toEqual([]);
    const slowest = Math.max(...w.pings.map((p) => p.repliedAt - p.sentAt));
    // The end whose initiation gave way may send only when the other's first message under the new keys has arrived: half a round trip more.
    expect(slowest).toBeLessThanOrEqual(3.5 * 2 * latency + 50);
    w.stop();
  });
});

describe('loss', () => {
  test('a killed connection costs no ping', () => {
    const w = world();
    w.pingEvery(200, 0, 1, 50);
    for (const at of [3_100, 5_150, 6_190]) w.clock.after(at, () => w.kill(0, w.peer(0, 1).links.active));
    w.run(15_000);
    expect(lost(w)).toEqual([]);
    w.stop();
  });

  test.each(['kill9', 'crash'] as const)(
    'the other end is restarted (%s): a ping is back within 1 s of its listening',
    (how) => {
      const w = world({ knows: onlyFirstDials });
      w.pingEvery(200, 0, 1, 200);
      w.run(3_000);
      w[how](1);
      w.run(2_050);
      w.start(1, 0);
      const at = w.now;
      w.run(20_000);
      const back = w.pings.find((p) => p.sentAt > at - 2_000 && p.repliedAt < Infinity)!;
      expect(back.repliedAt - at).toBeLessThanOrEqual(1_000);
      w.stop();
    },
  );
});
