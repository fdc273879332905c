import { afterEach, describe, expect, test } from '@jest/globals';
import type { Endpoint } from '@wirestream/core/address/endpoint';
import { Device } from '@wirestream/core/device/device';
import { KeyDoubt } from '@wirestream/core/device/doubt';
import { Initiations } from '@wirestream/core/device/initiations';
import { Peer } from '@wirestream/core/device/peer';
import { PeerEndpoint } from '@wirestream/core/device/peerendpoint';
import { Violation } from '@wirestream/core/sim/violation';
import type { Connection } from '@wirestream/core/stream/connection';
import { Links } from '@wirestream/core/stream/links';
import { Outbox } from '@wirestream/core/stream/outbox';
import { PendingList } from '@wirestream/core/stream/pending';
import { RecordReader } from '@wirestream/core/stream/reader';
import { nameOf, scriptOf } from '../../src/sim/campaign.js';
import { runScript } from '../../src/sim/run.js';
import * as scenario from '../../src/sim/scenarios.js';
import { runTwins } from '../../src/sim/twin.js';

/** Engines that are wrong on purpose, put in place of the right one for a test: if the properties do not notice, they are no good. */
const undo: (() => void)[] = [];
afterEach(() => {
  for (const restore of undo.splice(0)) restore();
});

type Method<T> = T extends (...args: infer A) => infer R ? (...args: A) => R : never;

/** Replaces a method for this test. `wrong` gets the right one. */
function mutate<C extends object, K extends keyof C>(
  prototype: C,
  name: K,
  wrong: (self: C, right: Method<C[K]>, args: Parameters<Method<C[K]>>) => ReturnType<Method<C[K]>>,
): void {
  const descriptor = Object.getOwnPropertyDescriptor(prototype, name)!;
  const right = descriptor.value as (...args: unknown[]) => unknown;
  const value = function (this: C, ...args: unknown[]) {
    return wrong(this, right.bind(this) as Method<C[K]>, args as Parameters<Method<C[K]>>);
  };
  Object.defineProperty(prototype, name, { ...descriptor, value });
  undo.push(() => Object.defineProperty(prototype, name, descriptor));
}

/** What random runs find; null when they find nothing. */
function found(runs = 300): string | null {
  for (let seed = 1; seed <= runs; seed++) {
    try {
      runScript(scriptOf(seed));
    } catch (error) {
      return nameOf(error);
    }
  }
  return null;
}

const caught = (run: () => unknown): string | null => {
  try {
    run();
  } catch (error) {
    if (error instanceof Violation) return error.property;
    throw error;
  }
  return null;
};

/** A connection's end, as a driver reports it, from inside the engine. */
function tearDown(now: number, links: Links, connection: Connection | null): void {
  if (connection === null || connection.state === 'closed') return;
  links.peer.device.driver.close(connection, true);
  links.closed(now, connection, 'error');
}

describe('a wrong engine is caught', () => {
  test('none of this happens to the right one', () => {
    expect(found(50)).toBeNull();
  });

  test('it tears down the other direction when it gets a connection', () => {
    mutate(Links.prototype, 'adopt', (self, right, [now, connection]) => {
      right(now, connection);
      tearDown(now, self, self.outbound);
      tearDown(now, self, self.candidate);
    });
    expect(caught(() => scenario.bothDialAtOnce({}))).toBe('both dial at once');
  });

  test('it adopts the newest accepted connection without authentication', () => {
    mutate(Device.prototype, 'accepted', (self, right, [now, local, remote]) => {
      const connection = right(now, local, remote);
      const peer = [...self.peers.values()][0];
      if (connection === null || peer === undefined || peer.transport !== 'tcp') return connection;
      self.pending.remove(connection);
      connection.peer = peer;
      peer.links.adopt(now, connection);
      peer.links.authenticated(now, connection, true);
      return connection;
    });
    expect(found()).toMatch(/silence|strangers go/);
  });

  test('it dials the port that the peer dialled from', () => {
    mutate(PeerEndpoint.prototype, 'nextDialTarget', (self, right): Endpoint | null => {
      const target = right();
      return target === null ? null : (self.shown ?? target);
    });
    expect(found()).toBe('known port');
  });

  test('it begins a half-sent record again on the same connection', () => {
    mutate(Outbox.prototype, 'written', (self, right, [count]) => right(count < self.runLength ? 0 : count));
    expect(found()).toMatch(/whole records|no record sent twice/);
  });

  test('it sends a half-sent record once more on the connection that survives', () => {
    const cut = new WeakMap<Outbox, number>();
    mutate(Outbox.prototype, 'peek', (self, right, [now]) => {
      const there = right(now);
      self.runOffset += cut.get(self) ?? 0;
      self.runLength -= cut.get(self) ?? 0;
      return there;
    });
    mutate(Outbox.prototype, 'written', (self, right, [count]) => {
      const before = cut.get(self) ?? 0;
      const whole = count === self.runLength;
      cut.set(self, whole ? 0 : before + count);
      right(whole ? before + count : 0);
    });
    expect(found(2_000)).toBe('no record sent twice');
  }, 120_000);

  test('it forgets the tie-break: each answers the other’s initiation', () => {
    mutate(Initiations.prototype, 'standsInTie', () => false);
    expect(caught(() => scenario.bothDialAtOnce({}))).toBe('both dial at once');
  });

  test('its tie-break deadlocks: each waits for an answer to its own', () => {
    mutate(Initiations.prototype, 'standsInTie', (self, _right, [now]) => self.isOutstanding(now));
    expect(caught(() => scenario.bothDialAtOnce({}))).toBe('both dial at once');
    expect(found()).toBe('liveness');
  });

  test('it takes an initiation that crossed with a handshake for the word of a peer that lost its keys', () => {
    mutate(KeyDoubt.prototype, 'initiated', (_self, right, [now, connection]) => right(now, connection, -Infinity));
    const overtaking = { latency: 10, jitter: 40 };
    const found = [39, 53].map((seed) => caught(() => scenario.bothDialWithData({ ...overtaking, seed })));
    expect(found).toContain('both dial with data');
  });

  test('its tie-break stands for ever, also against a peer that holds its initiations for replays', () => {
    mutate(Initiations.prototype, 'tied', (self, _right, [now, connection]) => self.defer(connection, now + 1_000));
    const options = { how: 'crash' as const, down: 300, mutual: true, skew: -3_600_000, bound: 2_500 };
    const found = [1, 2, 3, 4].map((seed) => caught(() => scenario.restarted({ ...options, seed })));
    expect(found).toContain('restarted');
  });

  test('it answers a stranger with the reason for its displeasure', () => {
    mutate(Device.prototype, 'readable', (self, right, [now, connection, ...rest]) => {
      right(now, connection, ...rest);
      if (connection.peer === null && !connection.wantsInput && connection.state !== 'closed') {
        const room = connection.reserve(32);
        connection.slab.bytes.set([4, 0, 0, 0, ...self.randomBytes(28)], room);
        connection.commit(1, now);
      }
    });
    expect(found()).toBe('silence');
  });

  test('it never looks at its pending list again', () => {
    mutate(PendingList.prototype, 'sweep', () => []);
    expect(found()).toMatch(/strangers go|wake gets on/);
  });

  test('it does not say when its connections want to be looked at', () => {
    mutate(Links.prototype, 'next', () => Infinity);
    const [announced, polled] = runTwins({
      setup: { ...scriptOf(1).setup, hosts: 2, transport: 'tcp', mutual: true, keepalive: 0 },
      steps: [
        { do: 'listener', wait: 0, host: 0, state: 'refuses' },
        { do: 'listener', wait: 0, host: 1, state: 'refuses' },
        { do: 'ping', wait: 5_000, from: 0, to: 1, size: 84, count: 1 },
      ],
    });
    expect(announced).not.toBe(polled);
  });

  test('it is deaf to a stream from the first damaged byte on', () => {
    mutate(RecordReader.prototype, 'next', (self, right) => !self.searching && right());
    expect(caught(() => scenario.damagedUnderTraffic({}))).toBe('damaged under traffic');
  });

  test('it forgets a peer’s connections when it closes', () => {
    mutate(Peer.prototype, 'close', (self) => self.timers.clear());
    expect(found()).toMatch(/ownership|nothing leaks/);
  });
});
