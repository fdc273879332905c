import { describe, expect, test } from '@jest/globals';
import { nativeCrypto } from '../../src/noise/native.js';
import type { OutboxLimits } from '../../src/stream/outbox.js';
import { World } from '../../src/sim/world.js';

/** Two hosts of which the first dials, joined. */
function joined(outbox?: OutboxLimits): World {
  const options = outbox === undefined ? {} : { host: { outbox } };
  const world = new World({ seed: 1, crypto: nativeCrypto, knows: (from) => from === 0, ...options });
  world.ping(0, 1);
  world.run(1_000);
  return world;
}

const shown = (world: World, host: 0 | 1) => world.peer(host, 1 - host).snapshot(world.now);

/** What a peer has dropped in all, of its connections and of those that have ended. */
function dropped(world: World, host: 0 | 1, reason: string): number {
  const { connections, drops } = shown(world, host);
  return connections.reduce((sum, connection) => sum + (connection.drops[reason] ?? 0), drops[reason] ?? 0);
}

describe('what a connection counted stays with its peer when it ends', () => {
  test('resyncs and the bytes skipped for them', () => {
    const world = joined();
    world.damage(0, 1, { kind: 'insert', count: 5 });
    world.ping(0, 1);
    world.ping(0, 1);
    world.run(100);
    const [before] = shown(world, 1).connections;
    expect(before!.resyncs).toBeGreaterThan(0);
    world.kill(0, world.peer(0, 1).links.active);
    world.run(5_000);
    const { connections, ended } = shown(world, 1);
    expect(connections.map(({ id, resyncs }) => [id !== before!.id, resyncs])).toEqual([[true, 0]]);
    expect(ended).toEqual({ connections: 1, resyncs: before!.resyncs, skippedBytes: before!.skippedBytes });
    world.stop();
  });

  test('records that were dropped from its queue, and those that nothing could take over', () => {
    const world = joined({ records: 8, bytes: 64 * 1024, age: 100 });
    world.link(0, 1, 'vanish');
    world.machine(0).socketOptions = { ...world.machine(0).socketOptions, sendBuffer: 20 };
    // More than the queue holds, and all of it too old when there is a connection again.
    for (let i = 0; i < 20; i++) world.ping(0, 1);
    const full = dropped(world, 0, 'queue-full');
    expect(full).toBeGreaterThan(0);
    world.run(5_000);
    world.kill(0, world.peer(0, 1).links.active);
    world.link(0, 1, 'up');
    world.run(60_000);
    const { connections, ended, drops } = shown(world, 0);
    expect(connections).toHaveLength(1);
    expect(ended!.connections).toBeGreaterThan(0);
    expect(drops['queue-full']).toBe(full);
    // Each of the twenty is accounted for: it arrived, or its record was dropped for a reason.
    const arrived = world.pings.filter(({ id, arrivedAt }) => id > 0 && arrivedAt !== Infinity).length;
    const lost = dropped(world, 0, 'queue-age') + dropped(world, 0, 'connection-lost');
    expect([arrived, full + lost]).toEqual([0, 20]);
    world.stop();
  });
});
