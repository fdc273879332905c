import { expect, test } from '@jest/globals';
import { catalogue, type Entry } from '../../src/scenario/catalogue.js';
import { makePlan } from '../../src/scenario/plan.js';
import { readPing } from '../../src/scenario/ping.js';
import type { Result } from '../../src/scenario/runner.js';
import { freshKeys } from '../../src/keys.js';
import { select } from '../../src/scenario/select.js';
import { isAccounted } from '../../src/scenario/steps.js';
import { schedule } from '../../src/schedule.js';

function passed({ name }: Entry): Result {
  return { name, verdict: 'passed', seconds: 1, reason: null, log: [], kept: null };
}

test('every combination of the matrix is there, once, for each transport', () => {
  const entries = catalogue(['udp', 'tcp']);
  const names = entries.map(({ name }) => name);
  expect(new Set(names).size).toBe(names.length);
  for (const transport of ['udp', 'tcp'])
    for (const who of ['we dial', 'kernel dials', 'both dial'])
      for (const family of ['v4', 'v6'])
        for (const psk of ['psk', 'no psk']) expect(names).toContain(`${transport} ${family} ${psk}: ${who}`);
  const perTransport = (transport: string): number =>
    entries.filter((e) => e.transport === transport && e.quick).length;
  expect(perTransport('udp')).toBeGreaterThanOrEqual(6);
});

test('scenarios are chosen by words of their names; a choice of none is a mistake', () => {
  const names = (only: string[], quick = false): string[] => select({ quick, only }).map(({ name }) => name);
  expect(names([]).length).toBe(catalogue(['udp', 'tcp']).length);
  expect(names(['udp v6 no we'])).toEqual(['udp v6 no psk: we dial']);
  expect(names(['flip', 'udp v6 no we'])).toEqual(['udp v6 no psk: we dial', 'tcp v4: bits flip on the way']);
  expect(names([], true).length).toBeLessThan(20);
  expect(() => names(['flip udp', 'x'])).toThrow(
    '--only "flip udp", "x": no scenario has these words; names are like "udp v4',
  );
  expect(() => names(['udp rekey'], true)).toThrow('no scenario of the short run');
});

test('results come in the order of the catalogue; no network holds two scenarios at once; over TCP nothing runs beside another, and long ones come last', async () => {
  const entries = catalogue(['udp', 'tcp']);
  const busy = new Map<number, Entry>();
  const finished: string[] = [];
  const results = await schedule(
    entries,
    3,
    async (entry, network) => {
      expect(busy.has(network)).toBe(false);
      busy.set(network, entry);
      for (let i = 0; i < (entry.long ? 20 : 2); i++) await Promise.resolve();
      for (const beside of busy.values()) {
        if (beside !== entry) expect([beside.transport, entry.transport]).toEqual(['udp', 'udp']);
      }
      busy.delete(network);
      return passed(entry);
    },
    ({ name }) => finished.push(name),
  );
  expect(results.map(({ name }) => name)).toEqual(entries.map(({ name }) => name));
  expect(finished.length).toBe(entries.length);
  const long = new Set(entries.filter((entry) => entry.long && entry.transport === 'tcp').map(({ name }) => name));
  expect(new Set(finished.slice(-long.size))).toEqual(long);
});

test('once it is closed, nothing is begun, and why is said', async () => {
  const entries = catalogue(['udp']).slice(0, 3);
  let ran = 0;
  const results = await schedule(
    entries,
    3,
    async (entry) => {
      ran++;
      return passed(entry);
    },
    () => undefined,
    () => (ran >= 2 ? 'no time left' : null),
  );
  expect(results.map(({ verdict }) => verdict)).toEqual(['passed', 'passed', 'skipped']);
  expect(results[2]).toMatchObject({ reason: 'no time left' });
});

test('network 0 has the addresses and ports of fixtures/kernel; others share nothing with it', () => {
  const plan = makePlan(0, 'udp', 4, true, freshKeys());
  expect(plan.us).toMatchObject({ outer: { 4: '10.99.0.1' }, inner: { 4: '10.77.0.1' }, port: 51821 });
  expect(plan.kernel).toMatchObject({ outer: { 4: '10.99.0.2' }, inner: { 4: '10.77.0.2' }, port: 51820 });
  const second = makePlan(1, 'udp', 4, false, freshKeys());
  expect(second.presharedKey).toBeNull();
  const addresses = [plan, second].flatMap(({ us, kernel }) =>
    [us, kernel].flatMap((e) => [e.outer, e.spare, e.inner].flatMap(Object.values)),
  );
  expect(new Set(addresses).size).toBe(addresses.length);
  // As wg, ip and our own show spell them: they are compared as text.
  for (const address of addresses.filter((a) => a.includes(':')))
    expect(address).toBe(new URL(`http://[${address}]`).hostname.slice(1, -1));
  expect(plan.us.outer[6]).toBe('fd99::1');
  expect(new Set([plan.us.port, plan.kernel.port, second.us.port, second.kernel.port]).size).toBe(4);
});

test('answers to pings are known by their numbers', () => {
  const line = (n: number): string => `64 bytes from 10.77.0.2: icmp_seq=${n} ttl=64 time=1.2 ms`;
  const text = [
    line(1),
    line(3),
    `${line(3)} (DUP!)`,
    'From 10.77.0.1 icmp_seq=2 Destination Host Unreachable',
    line(5),
  ].join('\n');
  expect(readPing(text, 4)).toEqual({ answered: [1, 3, 5], missing: [2, 4] });
});

test('bytes that only we count are those of announcements, and no others', () => {
  expect(isAccounted(1000, 1000, 0)).toBe(true);
  expect(isAccounted(1064, 1000, 1)).toBe(true);
  expect(isAccounted(1128, 1000, 2)).toBe(true);
  for (const [sent, received, errors] of [
    [1064, 1000, 0],
    [1000, 1064, 1],
    [1000, 1000, 1],
    [2000, 1000, 1],
    [1065, 1000, 1],
  ] as const)
    expect(isAccounted(sent, received, errors)).toBe(false);
});
