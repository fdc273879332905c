import fc from 'fast-check';
import { RateLimiter } from '@wirestream/core/cookie/ratelimiter';
import { must, mustEqual, target } from '../target.js';

interface Input {
  readonly max: number;
  readonly messages: { readonly source: number; readonly wait: number }[];
}

export const rateLimiter = target<Input>({
  name: 'rate-limiter',
  says: 'a source gets 20 a second and 5 at once, others do not suffer, and memory is bounded',
  runs: 300,
  arbitrary: fc.record({
    max: fc.constantFrom(1, 2, 100),
    messages: fc.array(
      fc.record({
        source: fc.nat({ max: 3 }),
        wait: fc.oneof(fc.constantFrom(0, 0, 0, 1, 49, 50, 51, 250), fc.nat({ max: 2_500 })),
      }),
      { maxLength: 80, size: 'max' },
    ),
  }),
  check({ max, messages }) {
    const limiter = new RateLimiter(max);
    /** credit in ms at `at`; 50 ms pay for one message, 250 ms is as much as is saved up */
    const naive = new Map<number, { credit: number; at: number }>();
    const allowed = new Map<number, number[]>();
    let now = 1_000;
    for (const { source, wait } of messages) {
      now += wait;
      const result = limiter.allow(String(source), now);
      must(limiter.size <= max, () => `${limiter.size} sources are remembered`);
      if (result) allowed.set(source, [...(allowed.get(source) ?? []), now]);
      if (max < 100) continue;
      const entry = naive.get(source) ?? { credit: 250, at: now };
      entry.credit = Math.min(250, entry.credit + now - entry.at);
      entry.at = now;
      naive.set(source, entry);
      mustEqual(result, entry.credit >= 50, `whether a message of source ${source} at ${now} is allowed`);
      if (result) entry.credit -= 50;
    }
    // However a source times its messages: in any span of time no more than the burst and the rate.
    for (const times of allowed.values()) {
      for (let i = 0; i < times.length; i++) {
        for (let j = i; j < times.length; j++) {
          const most = 5 + (times[j]! - times[i]!) / 50;
          must(j - i + 1 <= most, () => `${j - i + 1} messages in ${times[j]! - times[i]!} ms`);
        }
      }
    }
  },
});
