import { describe, expect, test } from '@jest/globals';
import { blocked, blockedForAWhile, flapping, listenerMoves, autoWorld } from '../../src/sim/transports.js';

describe('Transport = auto', () => {
  test.each([1, 2, 3])('where UDP passes it carries, and no TCP connection is left (seed %d)', (seed) => {
    expect(blocked(seed, Infinity, Infinity, 40)).toMatchObject({ paths: ['udp', 'udp'], moves: 0, lost: [] });
  });

  test.each([1, 2, 3])('UDP blocked from the start: TCP carries within a second (seed %d)', (seed) => {
    const { paths, outage, lost } = blocked(seed, -1, -1, 40);
    expect({ paths, lost }).toEqual({ paths: ['tcp', 'tcp'], lost: [] });
    expect(outage).toBeLessThan(1_000);
  });

  test.each([1, 2, 3])(
    'UDP blocked mid-way: traffic resumes within 8 s over TCP, and stays there (seed %d)',
    (seed) => {
      const { paths, outage, moves } = blocked(seed, Infinity, -1, 60);
      expect({ paths, moves }).toEqual({ paths: ['tcp', 'tcp'], moves: 1 });
      expect(outage).toBeGreaterThan(1_000);
      expect(outage).toBeLessThan(8_000);
    },
  );

  test.each([1, 2, 3])(
    'unblocked: back on UDP within the probe interval, and nothing lost by that (seed %d)',
    (seed) => {
      const { meanwhile, after, backAfter } = blockedForAWhile(seed);
      expect(meanwhile.paths).toEqual(['tcp', 'tcp']);
      expect(backAfter).toBeLessThan(21_000);
      expect(after).toMatchObject({ paths: ['udp', 'udp'], lost: [] });
    },
  );

  test('nor does it matter that both ends look at the same time: they do not lead back at the same time', () => {
    const late = Array.from({ length: 40 }, (_, i) => i + 1)
      .map((seed) => ({ seed, ...blockedForAWhile(seed, 40) }))
      .filter(({ backAfter, after }) => backAfter >= 21_000 || after.lost.length > 0);
    expect(late).toEqual([]);
  });

  test.each([1, 2, 3])('a network that drops only long datagrams fools nobody (seed %d)', (seed) => {
    const { paths, outage, lost } = blocked(seed, 600, 600, 60, 1_400);
    expect(paths).toEqual(['tcp', 'tcp']);
    expect(outage).toBeLessThan(8_000);
    expect(lost.every((id) => id < 40)).toBe(true);
  });

  test('a network that lets UDP through now and then makes nobody run to and fro', () => {
    const { moves } = flapping(1, 25_000, 15_000);
    // Ten minutes hold 15 rounds of that.
    expect(moves).toBeLessThan(12);
  });

  test.each([
    ['with Extensions = off', false, 0],
    ['of an older control version, with no abilities', true, 0],
  ])(
    'a peer that answers no probes is given up on UDP when its handshakes fail: one %s',
    (_, extensions, abilities) => {
      const world = autoWorld(1);
      Object.assign(world.host(1).device, { extensions, abilities });
      world.pingEvery(200, 0, 1, 60 * 5);
      world.run(10_000);
      expect(world.peer(0, 1).path.current).toBe('udp');
      expect([world.peer(0, 1).control.isKnown, world.peer(0, 1).control.abilities]).toEqual([extensions, 0]);
      world.limitDatagrams(0, 1, -1);
      world.run(40_000);
      expect([world.peer(0, 1).path.current, world.peer(1, 0).path.current]).toEqual(['tcp', 'tcp']);
      world.stop();
    },
  );
});

describe('a listener that moves', () => {
  test.each([1, 2, 3])('is dialled where it says to be when the configured port is refused (seed %d)', (seed) => {
    const { lost, dialled } = listenerMoves(seed, true);
    expect(lost).toEqual([]);
    expect(dialled).toEqual([51820, 51820, 51999]);
  });

  test('without control messages nobody is told', () => {
    const { lost, dialled } = listenerMoves(1, false);
    expect(lost.length).toBeGreaterThan(10);
    expect(new Set(dialled)).toEqual(new Set([51820]));
  });
});
