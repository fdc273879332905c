import type fc from 'fast-check';
import { concat } from '../arbitraries/bytes.js';
import type { Target } from '../target.js';

/** What went wrong, in a form in which the same fault has the same text: numbers and bytes do not count. */
export function faultOf(error: unknown): string {
  const text = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
  return text
    .split('\n')[0]!
    .replace(/"[^"]*"|\b[0-9a-f]{8,}\b/g, '…')
    .replace(/[0-9]+/g, '#')
    .slice(0, 160);
}

/** The fault that an input shows, or null. */
export function faultIn(subject: Target, input: unknown): string | null {
  try {
    subject.check(input);
    return null;
  } catch (error) {
    return faultOf(error);
  }
}

/** Makes a failing input smaller the way fast-check does, as long as it shows the same fault. @param deadline performance.now() */
export function minimiseValue(subject: Target, value: fc.Value<unknown>, fault: string, deadline: number): unknown {
  let best = value;
  for (;;) {
    let smaller: fc.Value<unknown> | null = null;
    for (const candidate of subject.arbitrary.shrink(best.value, best.context)) {
      if (performance.now() > deadline) return best.value;
      if (faultIn(subject, candidate.value) !== fault) continue;
      smaller = candidate;
      break;
    }
    if (smaller === null) return best.value;
    best = smaller;
  }
}

/** Makes failing bytes fewer: leaves out ever smaller pieces, then makes what is left zero. */
export function minimiseBytes(subject: Target, bytes: Uint8Array, fault: string, deadline: number): Uint8Array {
  const still = (candidate: Uint8Array) =>
    performance.now() < deadline && faultIn(subject, subject.fromBytes!(candidate)) === fault;
  let best = bytes;
  for (let size = best.length >> 1; size >= 1; size >>= 1) {
    for (let at = 0; at + size <= best.length;) {
      const without = concat([best.subarray(0, at), best.subarray(at + size)]);
      if (still(without)) best = without;
      else at += size;
    }
  }
  for (let at = 0; at < best.length; at++) {
    if (best[at] === 0) continue;
    const zeroed = best.slice();
    zeroed[at] = 0;
    if (still(zeroed)) best = zeroed;
  }
  return best;
}
