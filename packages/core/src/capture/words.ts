/** Numbers for people. */

/** `1 record`, `2 records`, `1 reply`, `2 replies`. */
export function count(n: number, noun: string): string {
  if (n === 1) return `1 ${noun}`;
  return `${n} ${noun.endsWith('y') && !/[aeiou]y$/.test(noun) ? `${noun.slice(0, -1)}ies` : `${noun}s`}`;
}

/** Decimal units, three digits: `842 B`, `1.42 kB`, `717 kB`. */
export function bytes(n: number): string {
  return scaled(n, ['B', 'kB', 'MB', 'GB', 'TB']);
}

export function bitsPerSecond(n: number): string {
  return scaled(n, ['bit/s', 'kbit/s', 'Mbit/s', 'Gbit/s', 'Tbit/s']);
}

/** `320 µs`, `6.1 ms`, `12.7 s`. */
export function seconds(s: number): string {
  const magnitude = Math.abs(s);
  if (magnitude < 0.001) return `${Math.round(s * 1e6)} µs`;
  if (magnitude < 1) return `${digits(s * 1e3)} ms`;
  return `${digits(s)} s`;
}

function scaled(n: number, units: readonly string[]): string {
  let value = n;
  let unit = 0;
  while (value >= 999.5 && unit < units.length - 1) {
    value /= 1000;
    unit++;
  }
  return `${unit === 0 ? Math.round(value) : digits(value)} ${units[unit]}`;
}

function digits(n: number): string {
  const whole = Math.trunc(Math.abs(n)).toString().length;
  return n.toFixed(Math.max(0, Math.min(2, 3 - whole)));
}
