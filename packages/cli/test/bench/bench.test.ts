/** What `npm run bench` computes with; what it measures is not for a test. */
import { beforeAll, describe, expect, test } from '@jest/globals';

interface Lane {
  readonly free: number;
  readonly lost: number;
  readonly dropped: number;
  readonly nextAt: number;
  enter(now: number, length: number): boolean;
  leave(now: number): number;
}
interface Shape {
  rtt: number;
  loss: number;
  rate: number;
}
interface LaneOptions {
  delay: number;
  loss: number;
  rate: number;
  queue: number;
  seed: number;
  slots: number;
}
interface Summary {
  median: number;
  values: number[];
}
type Pick = (result: { value: Summary | null }) => Summary | null;

let Lane: new (options: LaneOptions) => Lane;
let parseShape: (text: string) => Shape;
let percentile: (values: number[], p: number) => number | null;
let summary: (values: (number | null)[]) => Summary | null;
let longestStall: (intervals: { bytes: number; seconds: number }[]) => number;
let ratio: (series: unknown, id: string, reference: string, pick: Pick) => Summary | null;
let chart: (series: unknown[], subtitle: string) => string;

beforeAll(async () => {
  const load = async <T>(name: string) => (await import(`../../../../bench/lib/${name}.mjs`)) as T;
  ({ Lane } = await load<{ Lane: typeof Lane }>('link/lane'));
  ({ parseShape } = await load<{ parseShape: typeof parseShape }>('link/shape'));
  ({ percentile, summary } = await load<{ percentile: typeof percentile; summary: typeof summary }>('statistics'));
  ({ longestStall } = await load<{ longestStall: typeof longestStall }>('iperf'));
  ({ ratio } = await load<{ ratio: typeof ratio }>('series'));
  ({ chart } = await load<{ chart: typeof chart }>('chart'));
});

const lane = (change: Partial<LaneOptions> = {}) =>
  new Lane({ delay: 10, loss: 0, rate: 0, queue: 4, seed: 1, slots: 64, ...change });

describe('the emulated link, one way', () => {
  test('packets leave in order, each after the delay', () => {
    const link = lane();
    expect(link.nextAt).toBe(Infinity);
    for (const at of [0, 1, 1]) expect(link.enter(at, 1500)).toBe(true);
    expect([link.nextAt, link.leave(9.9)]).toEqual([10, -1]);
    expect([link.leave(10), link.leave(10), link.leave(11), link.leave(11), link.leave(99)]).toEqual([0, -1, 1, 2, -1]);
  });

  test('the line takes one after the other at its rate', () => {
    // 12 Mbit/s: a packet of 1500 bytes takes a millisecond.
    const link = lane({ delay: 0, rate: 12 });
    for (let i = 0; i < 3; i++) link.enter(0, 1500);
    expect([0.99, 1, 1, 2, 3].map((now) => link.leave(now) >= 0)).toEqual([false, true, false, true, true]);
    // Time that the line was idle is not saved up.
    link.enter(10, 1500);
    expect(link.nextAt).toBe(11);
  });

  test('what finds the queue full is dropped, and the queue empties as the line works', () => {
    const link = lane({ delay: 1000, rate: 12, queue: 4 });
    const entered = Array.from({ length: 9 }, () => link.enter(0, 1500));
    // One is on the line at once, so five are in before four wait.
    expect(entered.filter(Boolean)).toHaveLength(5);
    expect(link.dropped).toBe(4);
    expect([link.enter(1, 1500), link.enter(1, 1500)]).toEqual([true, false]);
  });

  test('the same seed loses the same packets, as many as it should', () => {
    const fates = (seed: number) => {
      const link = lane({ loss: 2, seed, slots: 32_768 });
      return Array.from({ length: 20_000 }, (_, i) => link.enter(i, 100));
    };
    const once = fates(7);
    expect(fates(7)).toEqual(once);
    expect(fates(8)).not.toEqual(once);
    const lost = once.filter((entered) => !entered).length;
    expect(lost).toBeGreaterThan(300);
    expect(lost).toBeLessThan(500);
  });

  test('says when there is no slot', () => {
    const link = lane({ slots: 2 });
    link.enter(0, 1);
    expect(link.free).toBe(1);
    link.enter(0, 1);
    expect(link.free).toBe(-1);
    link.leave(10);
    expect(link.free).toBe(0);
  });
});

test('shapes as they are written', () => {
  expect(parseShape('40,1%,100')).toEqual({ rtt: 40, loss: 1, rate: 100 });
  expect(parseShape('20ms,0.5')).toEqual({ rtt: 20, loss: 0.5, rate: 0 });
  expect(parseShape('100')).toEqual({ rtt: 100, loss: 0, rate: 0 });
  for (const text of ['', 'fast', '1,2,3,4', '-1', '0,100']) expect(() => parseShape(text)).toThrow();
});

test('percentiles lie between neighbours, and nothing gives nothing', () => {
  expect([0, 0.5, 0.9, 1].map((p) => percentile([4, 1, 3, 2], p))).toEqual([1, 2.5, 3.7, 4]);
  expect([percentile([], 0.5), summary([null])]).toEqual([null, null]);
});

test('a stall is a row of intervals without a byte', () => {
  const intervals = [5, 0, 0, 7, 0, 3].map((bytes) => ({ bytes, seconds: 0.5 }));
  expect([longestStall(intervals), longestStall([])]).toEqual([1, 0]);
});

test('ratios are taken round by round, and then the median', () => {
  const value = (values: number[]) => ({ value: { median: 0, values } });
  const series = {
    results: [
      { id: 'a', ...value([2, 30, 8]) },
      { id: 'b', ...value([1, 10, 2]) },
    ],
  };
  expect(ratio(series, 'a', 'b', (result) => result.value)).toMatchObject({ median: 3, values: [2, 3, 4] });
  expect(ratio(series, 'a', 'c', (result) => result.value)).toBeNull();
});

test('a chart shows every bar, and what was not measured not at all', () => {
  const one = (n: number) => ({ median: n, min: n, max: n });
  const load = { mbits: one(10), cpuPerGB: one(2), memoryReceiver: null };
  const results = [{ id: 'x<y', loads: { 1: load }, idlePing: null, loadedPing: null }];
  const svg = chart([{ name: 'n', shape: null, flows: [1], results }], 'a & b');
  expect(svg.match(/<rect x=/g)).toHaveLength(2);
  expect(svg).toContain('x&lt;y');
  expect(svg).toContain('a &amp; b');
  expect(svg).not.toMatch(/NaN|undefined|Infinity/);
});
