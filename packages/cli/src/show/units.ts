import type { Paint } from './paint.js';

/** Times and amounts in the words of wg(8). */

const TIME_UNITS = [
  ['year', 365 * 24 * 3600],
  ['day', 24 * 3600],
  ['hour', 3600],
  ['minute', 60],
  ['second', 1],
] as const;

/** `1 day, 2 seconds`: units that are 0 are left out. @param seconds whole, at least 1 */
export function duration(seconds: number, paint: Paint): string {
  const parts: string[] = [];
  let left = seconds;
  for (const [unit, size] of TIME_UNITS) {
    const n = Math.floor(left / size);
    left -= n * size;
    if (n > 0) parts.push(`${n} ${paint.cyan}${unit}${n === 1 ? '' : 's'}${paint.reset}`);
  }
  return parts.join(', ');
}

/** How long ago `then` was. @param now seconds since the Unix epoch, whole; @param then likewise */
export function ago(now: number, then: number, paint: Paint): string {
  if (then > now) {
    return `(${paint.red}System clock wound backward; connection problems may ensue.${paint.reset})`;
  }
  return then === now ? 'Now' : `${duration(now - then, paint)} ago`;
}

const BYTE_UNITS = [
  ['TiB', 2 ** 40],
  ['GiB', 2 ** 30],
  ['MiB', 2 ** 20],
  ['KiB', 2 ** 10],
] as const;

export function amount(bytes: number, paint: Paint): string {
  for (const [unit, size] of BYTE_UNITS) {
    if (bytes >= size) return `${(bytes / size).toFixed(2)} ${paint.cyan}${unit}${paint.reset}`;
  }
  return `${bytes} ${paint.cyan}B${paint.reset}`;
}
