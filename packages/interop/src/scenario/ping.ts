/** What ping(8) says, by the numbers of the answers: its own sums leave out answers that come late. */

export interface PingResult {
  /** numbers of the requests that were answered, ascending */
  readonly answered: readonly number[];
  /** of the first `count` requests, those without an answer */
  readonly missing: readonly number[];
}

export function readPing(text: string, count: number): PingResult {
  const seen = new Set<number>();
  for (const match of text.matchAll(/^\d+ bytes from .*icmp_seq=(\d+)/gm)) seen.add(Number(match[1]));
  const answered = [...seen].sort((a, b) => a - b);
  const missing = Array.from({ length: count }, (_, i) => i + 1).filter((n) => !seen.has(n));
  return { answered, missing };
}
