import { describe, expect, test } from '@jest/globals';
import { INTERVAL, StandingQueue, TARGET } from '../../src/stream/standingqueue.js';

function queue(roundTrip = 0): StandingQueue {
  const made = new StandingQueue();
  made.roundTrip = roundTrip;
  return made;
}

/** Asks every ms about a record that waited `waited(now)` ms. @returns when it was to be dropped */
function dropsAt(subject: StandingQueue, from: number, until: number, waited: (now: number) => number): number[] {
  const out: number[] = [];
  for (let now = from; now < until; now++) if (subject.drops(now, waited(now), false)) out.push(now);
  return out;
}

describe('a queue that stands', () => {
  test('loses nothing in its first interval, then a record, then more and more often', () => {
    const drops = dropsAt(queue(), 0, 1000, () => 2 * TARGET);
    expect(drops[0]).toBe(INTERVAL);
    const pauses = drops.slice(1).map((at, i) => at - drops[i]!);
    expect(pauses[0]).toBe(INTERVAL);
    // interval / √n, each from the one before (RFC 8289, section 3.3)
    pauses.forEach((pause, i) => expect(Math.abs(pause - INTERVAL / Math.sqrt(i + 1))).toBeLessThanOrEqual(1));
    expect(drops.length).toBeGreaterThan(10);
  });

  test('loses nothing as long as the wait falls below the target once in every interval', () => {
    expect(dropsAt(queue(), 0, 10_000, (now) => (now % (INTERVAL - 1) === 0 ? 0 : 80))).toEqual([]);
  });

  test('on a long path may be longer, and for longer', () => {
    expect(dropsAt(queue(60), 0, 10_000, () => 119)).toEqual([]);
    expect(dropsAt(queue(60), 0, 10_000, () => 120)[0]).toBe(600);
  });

  test('stops losing when it is short again, and soon goes on where it was when it is not', () => {
    const subject = queue();
    const first = dropsAt(subject, 0, 800, () => 2 * TARGET);
    expect(dropsAt(subject, 800, 900, () => 1)).toEqual([]);
    const again = dropsAt(subject, 900, 1200, () => 2 * TARGET);
    expect(again[0]).toBe(900 + INTERVAL);
    expect(again[1]! - again[0]!).toBeLessThan(first[1]! - first[0]!);
    // After a long time it begins anew.
    expect(dropsAt(subject, 1200, 10_000, () => 1)).toEqual([]);
    const anew = dropsAt(subject, 10_000, 10_300, () => 2 * TARGET);
    expect(anew[1]! - anew[0]!).toBe(INTERVAL);
  });

  test('is long when it has been for more than a moment', () => {
    const subject = queue();
    const longAt = (from: number, until: number, waited: number): number[] => {
      const out: number[] = [];
      for (let now = from; now < until; now++) {
        subject.drops(now, waited, false);
        if (subject.isLong) out.push(now);
      }
      return out;
    };
    expect(longAt(0, INTERVAL / 5, 2 * TARGET)).toEqual([]);
    expect(longAt(INTERVAL / 5, 30, 2 * TARGET)[0]).toBe(INTERVAL / 5);
    expect(longAt(30, 40, 1)).toEqual([]);
    subject.drops(40, 90, false);
    subject.drops(70, 90, false);
    expect(subject.isLong).toBe(true);
    subject.emptied();
    expect(subject.isLong).toBe(false);
  });

  test('the last record is not dropped, and an empty queue is no standing one', () => {
    const subject = queue();
    for (let now = 0; now < 1000; now++) expect(subject.drops(now, 50, true)).toBe(false);
    dropsAt(subject, 1000, 1050, () => 50);
    subject.emptied();
    expect(dropsAt(subject, 1090, 1180, () => 50)).toEqual([]);
  });

  /** One sender that opens its window by a packet each round trip and halves it at a loss (RFC 5681), over a link of a packet per ms. @returns ms that packets waited */
  function waits(subject: StandingQueue | null): number[] {
    const ROUND_TRIP = 20;
    const waiting: number[] = [];
    /** when acknowledgements arrive; negative: of a loss */
    const news: { at: number; lost: boolean }[] = [];
    const out: number[] = [];
    let [window, inFlight, lossesUntil] = [4, 0, 0];
    for (let now = 0; now < 20_000; now++) {
      while (news.length > 0 && news[0]!.at <= now) {
        inFlight--;
        if (!news.shift()!.lost) window += 1 / window;
        else if (now >= lossesUntil) {
          window = Math.max(2, window / 2);
          lossesUntil = now + ROUND_TRIP + waiting.length;
        }
      }
      for (; inFlight < window; inFlight++) waiting.push(now);
      while (waiting.length > 0 && subject?.drops(now, now - waiting[0]!, waiting.length === 1) === true) {
        waiting.shift();
        news.push({ at: now + ROUND_TRIP, lost: true });
      }
      if (waiting.length === 0) subject?.emptied();
      else {
        out.push(now - waiting.shift()!);
        news.push({ at: now + ROUND_TRIP, lost: false });
      }
    }
    return out.slice(out.length / 4);
  }

  test('a sender that fills whatever queue there is keeps the link busy and its packets do not wait', () => {
    const median = (list: number[]) => [...list].sort((a, b) => a - b)[list.length >> 1]!;
    const [free, worn] = [waits(null), waits(queue())];
    expect(median(free)).toBeGreaterThan(100);
    expect(median(worn)).toBeLessThan(3 * TARGET);
    expect(worn.length / free.length).toBeGreaterThan(0.9);
  });
});
