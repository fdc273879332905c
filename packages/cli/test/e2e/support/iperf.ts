import type { Namespace } from './netns.js';
import { until } from './until.js';

export interface Transfer {
  readonly bytes: number;
  readonly bitsPerSecond: number;
  /** UDP only */
  readonly lostPercent: number;
  /** of each interval of a second */
  readonly intervals: readonly number[];
}

interface IperfReport {
  error?: string;
  intervals: { sum: { bytes: number } }[];
  end: {
    sum?: { bytes: number; bits_per_second: number; lost_percent: number };
    sum_received?: { bytes: number; bits_per_second: number };
  };
}

let port = 5201;

/** For so many seconds, or until so many bytes have been sent. */
export type Extent = { readonly seconds: number } | { readonly bytes: number };

/** A transfer by iperf3(1) from one namespace to an address in another. */
export async function iperf(
  client: Namespace,
  server: Namespace,
  address: string,
  extent: Extent,
  args: readonly string[] = [],
): Promise<Transfer> {
  const listening = String(port++);
  const serving = server.spawn(['iperf3', '-s', '-1', '-B', address, '-p', listening]);
  try {
    await until('iperf3 to listen', async () => server.must(['ss', '-Htln', `sport = :${listening}`]));
    const [much, deadline] =
      'seconds' in extent
        ? [['-t', String(extent.seconds)], extent.seconds * 1000 + 20_000]
        : [['-n', String(extent.bytes)], 20_000];
    const argv = ['iperf3', '-J', '-c', address, '-p', listening, ...much, ...args];
    const { stdout } = await client.run(argv, { deadline });
    const report = JSON.parse(stdout) as IperfReport;
    if (report.error !== undefined) throw new Error(`${argv.join(' ')}: ${report.error}`);
    const sum = report.end.sum_received ?? report.end.sum!;
    return {
      bytes: sum.bytes,
      bitsPerSecond: sum.bits_per_second,
      lostPercent: report.end.sum?.lost_percent ?? 0,
      intervals: report.intervals.map((interval) => interval.sum.bytes),
    };
  } finally {
    await serving.stop('SIGKILL');
  }
}
