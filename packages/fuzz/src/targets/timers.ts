import fc from 'fast-check';
import { PeerTimers, type TimerName } from '@wirestream/core/device/timers';
import { timerEvents, type TimerEvent } from '../arbitraries/events.js';
import { must, mustEqual, target } from '../target.js';

/**
 * The table of the paper §6 (and kernel timers.c): what sets which timer, what clears it, and after how long it fires.
 *
 * | event              | sets                                                             | clears          |
 * |--------------------|------------------------------------------------------------------|-----------------|
 * | data sent          | new handshake in 10 + 5 s + jitter, unless set                   |                 |
 * | data received      | keepalive in 10 s, unless set; then once more when it fires      |                 |
 * | anything sent      |                                                                  | keepalive       |
 * | anything received  |                                                                  | new handshake   |
 * | either             | persistent keepalive after its interval                          |                 |
 * | initiation sent    | retry in 5 s + jitter                                            |                 |
 * | handshake complete |                                                                  | retry, attempts |
 * | session derived    | wiping of keys in 3 × 180 s                                      |                 |
 * | gave up            | wiping of keys in 3 × 180 s, unless set                          | keepalive       |
 */
class Table {
  readonly due = new Map<TimerName, number>();
  again = false;

  constructor(
    readonly jitter: number,
    readonly interval: number,
  ) {}

  event(what: TimerEvent['what'], now: number): void {
    const { due } = this;
    const setOnce = (name: TimerName, at: number) => void (due.has(name) || due.set(name, at));
    switch (what) {
      case 'data sent':
        return setOnce('new-handshake', now + 15_000 + this.jitter);
      case 'data received':
        if (due.has('send-keepalive')) this.again = true;
        return setOnce('send-keepalive', now + 10_000);
      case 'any sent':
        return void due.delete('send-keepalive');
      case 'any received':
        return void due.delete('new-handshake');
      case 'traversal':
        if (this.interval > 0) due.set('persistent-keepalive', now + this.interval * 1000);
        return;
      case 'initiation sent':
        return void due.set('retry-handshake', now + 5_000 + this.jitter);
      case 'handshake complete':
        return void due.delete('retry-handshake');
      case 'session derived':
        return void due.set('wipe-keys', now + 540_000);
      case 'gave up':
        due.delete('send-keepalive');
        return setOnce('wipe-keys', now + 540_000);
      case 'clear':
        due.clear();
        this.again = false;
    }
  }

  fire(name: TimerName, now: number): void {
    must((this.due.get(name) ?? Infinity) <= now, () => `${name} fires before its time`);
    this.due.delete(name);
    if (name === 'send-keepalive' && this.again) {
      this.again = false;
      this.due.set(name, now + 10_000);
    }
  }
}

interface Input {
  readonly interval: number;
  /** of the largest jitter, thousandths */
  readonly jitter: number;
  readonly events: TimerEvent[];
}

export const timers = target<Input>({
  name: 'timers',
  says: 'timers are set, cleared and fire as the table of the paper says',
  runs: 300,
  arbitrary: fc.record({
    interval: fc.constantFrom(0, 1, 25, 65_535),
    jitter: fc.nat({ max: 999 }),
    events: timerEvents,
  }),
  check({ interval, jitter, events }) {
    const timer = new PeerTimers(() => jitter / 1000);
    timer.persistentInterval = interval;
    const table = new Table((jitter / 1000) * 333, interval);
    let now = 1_000;
    const tell: Record<TimerEvent['what'], () => void> = {
      'data sent': () => timer.dataSent(now),
      'data received': () => timer.dataReceived(now),
      'any sent': () => timer.anySent(),
      'any received': () => timer.anyReceived(),
      traversal: () => timer.anyTraversal(now),
      'initiation sent': () => timer.initiationSent(now),
      'handshake complete': () => timer.handshakeComplete(),
      'session derived': () => timer.sessionDerived(now),
      'gave up': () => timer.gaveUp(now),
      clear: () => timer.clear(),
      nothing: () => undefined,
    };
    for (const { wait, what } of events) {
      const end = now + wait;
      for (let n = 0; timer.next() <= end; n++) {
        must(n < 200_000, 'timers fire without an end');
        now = Math.max(now, timer.next());
        const name = timer.expired(now)!;
        table.fire(name, now);
      }
      now = end;
      mustEqual(timer.expired(now), null, 'what is due');
      tell[what]();
      table.event(what, now);
      const earliest = Math.min(Infinity, ...table.due.values());
      must(timer.next() === earliest, () => `after ${what} at ${now} the next is at ${timer.next()}, not ${earliest}`);
    }
    tell.clear();
    mustEqual(timer.next(), Infinity, 'next after everything was cleared');
  },
});
