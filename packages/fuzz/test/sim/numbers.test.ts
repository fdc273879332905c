import { describe, test } from '@jest/globals';
import { nativeCrypto } from '@wirestream/core/noise/native';
import * as scenario from '../../src/sim/scenarios.js';

/** Each scenario throws when its bound is not held, with what it measured. */
const LATENCIES = [1, 10, 80, 250];

describe('first contact', () => {
  test.each(LATENCIES)('one way %d ms: a reply within three round trips and 50 ms', (latency) => {
    scenario.firstContact({ latency });
  });

  test.each(LATENCIES)('one way %d ms: both dial at the same instant and lose no ping', (latency) => {
    for (let seed = 1; seed <= 10; seed++) scenario.bothDialAtOnce({ latency, seed });
  });

  test('both begin with a stream of data while connections overtake each other: each packet arrives within three round trips', () => {
    for (let seed = 31; seed <= 60; seed++) scenario.bothDialWithData({ latency: 10, jitter: 40, seed });
  });

  test('with the real primitives', () => {
    scenario.firstContact({ crypto: nativeCrypto });
    scenario.bothDialAtOnce({ crypto: nativeCrypto });
  });

  test.each([1, 5_000])(
    'among 10 000 strangers from %d addresses, within 1 s',
    (sources) => {
      scenario.blast({ strangers: 10_000, sources });
    },
    60_000,
  );
});

describe('a connection is lost', () => {
  test.each([0, 1] as const)('killed at end %d under five pings a second: none is lost', (killer) => {
    for (const latency of [1, 10, 40]) scenario.killedUnderTraffic({ latency }, killer);
  });

  test.each([1_000, 5_000, 15_000, 30_000, 60_000])('all packets vanish for %d ms', (away) => {
    for (let seed = 1; seed <= 5; seed++) {
      scenario.halfOpen({ away, seed, bound: 30_000 });
      scenario.halfOpen({ away, seed, bound: 30_000, userTimeout: Infinity });
    }
  });

  test('damage to the stream costs the pings that it hits, and no connection', () => {
    for (let seed = 1; seed <= 10; seed++) scenario.damagedUnderTraffic({ seed });
  });

  test.each([130, 400])('%d s of traffic survive all rekeys without a loss', (seconds) => {
    scenario.rekeys({ seconds });
  });
});

describe('the other end is restarted with its keys lost', () => {
  describe.each(['stop', 'kill', 'crash'] as const)('%s', (how) => {
    test.each([0, 300, 2_000, 8_000])('back after %d ms: a reply within 1 s of its listening', (down) => {
      for (let seed = 1; seed <= 5; seed++) {
        scenario.restarted({ how, down, seed });
        scenario.restarted({ how, down, seed, skew: 3_600_000 });
        scenario.restarted({ how, down, seed, skew: -3_600_000 });
        scenario.restarted({ how, down, seed, mutual: true });
        scenario.restarted({ how, down, seed, mutual: true, skew: 3_600_000 });
      }
    });

    test('with its clock set back while both dial: the tie of initiations costs at most 1.5 s more', () => {
      for (let seed = 1; seed <= 10; seed++) {
        scenario.restarted({ how, down: 300, seed, mutual: true, skew: -3_600_000, bound: 2_500 });
      }
    });
  });
});

describe('the other end is restarted while there is something to send', () => {
  describe.each(['stop', 'kill'] as const)('%s', (how) => {
    test.each([100, 2_000])('back after %d ms: nothing is lost that was sent after the connection had gone', (down) => {
      for (const latency of [1, 10, 80]) scenario.restartedLosesNothing({ how, down, latency });
    });

    test('a full queue is no obstacle: a reply within 1 s', () => {
      for (const latency of [1, 10]) scenario.restartedUnderLoad({ how, latency });
    });
  });
});

describe('nobody listens', () => {
  describe.each(['refuses', 'drops'] as const)('SYNs: %s', (state) => {
    test.each([100, 1_000, 3_000, 7_000])('for %d ms: reached within 2 s', (away) => {
      for (let seed = 1; seed <= 10; seed++) scenario.listenerComesBack({ state, away, seed, bound: 2_000 });
    });

    test.each([10_000, 60_000, 200_000])('for %d ms: reached within 30 s', (away) => {
      for (let seed = 1; seed <= 10; seed++) scenario.listenerComesBack({ state, away, seed, bound: 30_000 });
    });
  });
});

describe('the path changes', () => {
  test('the dialling side’s address, noticed by its driver: back within 3 s', () => {
    for (const notices of [0, 100]) scenario.addressChanges({ notices, bound: 3_000 });
  });

  test('unnoticed: back once TCP has given the connection up', () => {
    scenario.addressChanges({ notices: Infinity, bound: 12_000 });
  });

  test.each([false, true])('the address translation, under load (new address: %s): back within 1 s', (newAddress) => {
    scenario.translationChanges({ newAddress, bound: 1_000 });
  });
});
