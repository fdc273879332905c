import type { Entry } from './scenario/catalogue.js';
import type { Result } from './scenario/runner.js';

/**
 * The order of a run: one scenario after the other, and beside them those that only wait for the clock, each on a network of its own. Over TCP they
 * come last instead, one after the other: a kernel that re-dials on every change of address, that of another interface too (fixtures/kernel,
 * tcp-linkup-redial), would not leave them alone.
 */
export async function schedule(
  entries: readonly Entry[],
  networks: number,
  run: (entry: Entry, network: number) => Promise<Result>,
  finished: (result: Result) => void,
  /** why no more scenarios are begun; null while they are */
  closed: () => string | null = () => null,
): Promise<Result[]> {
  const results = new Map<Entry, Result>();
  const one = async (entry: Entry, network: number): Promise<void> => {
    const reason = closed();
    const result =
      reason === null
        ? await run(entry, network)
        : { name: entry.name, verdict: 'skipped' as const, seconds: 0, reason, log: [], kept: null };
    results.set(entry, result);
    finished(result);
  };
  const lane = async (list: Entry[], network: number): Promise<void> => {
    for (const entry of list) await one(entry, network);
  };
  const beside = (list: readonly Entry[]): Promise<void>[] =>
    Array.from({ length: networks - 1 }, async (_, i) =>
      lane(
        list.filter((_entry, k) => k % (networks - 1) === i),
        i + 1,
      ),
    );
  // With one network, everything waits for everything.
  if (networks === 1) {
    await lane([...entries], 0);
    return entries.map((entry) => results.get(entry)!);
  }
  const short = entries.filter(({ long }) => !long);
  const isUdp = ({ transport }: Entry): boolean => transport === 'udp';
  const long = entries.filter((entry) => entry.long);
  await Promise.all([lane(short.filter(isUdp), 0), ...beside(long.filter(isUdp))]);
  for (const list of [short, long])
    await lane(
      list.filter((entry) => !isUdp(entry)),
      0,
    );
  return entries.map((entry) => results.get(entry)!);
}
