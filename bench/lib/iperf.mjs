import { start } from './run.mjs';

/** Where the servers listen, and how often both ends count. */
export const PORT = 5201;
const INTERVAL = 0.5;
/** Time that a client may take beyond its transfer, ms. */
const GRACE = 20_000;

/** Starts a server that stays. It reports in JSON, so that a client can fetch what the receiver saw. */
export async function serve(namespace, address) {
  namespace.start(['iperf3', '-s', '-J', '-i', `${INTERVAL}`, '-B', address, '-p', `${PORT}`], {
    stdio: ['ignore', 'ignore', 'ignore'],
  });
}

/**
 * One transfer, by TCP.
 * @returns {Promise<{ mbits: number, bytes: number, seconds: number, retransmits: number, longestStall: number, intervals: number[] }>}
 *   goodput and bytes at the receiver; intervals: Mbit/s at the receiver; longestStall: s without a byte, to half a second
 */
export async function transfer(namespace, address, { seconds, flows, congestion }) {
  const argv = ['iperf3', '-J', '--get-server-output', '-i', `${INTERVAL}`, '-c', address, '-p', `${PORT}`];
  const { done } = start(namespace.inside([...argv, '-t', `${seconds}`, '-P', `${flows}`, '-C', congestion]), {
    deadline: seconds * 1000 + GRACE,
  });
  const { stdout, stderr, signal } = await done;
  if (signal !== null) throw new Error(`iperf3 to ${address} did not end`);
  let report;
  try {
    report = JSON.parse(stdout);
  } catch {
    throw new Error(`iperf3 to ${address}: ${stderr.trim() || stdout.slice(0, 200)}`);
  }
  if (report.error !== undefined) throw new Error(`iperf3 to ${address}: ${report.error}`);
  const { sum_received: received, sum_sent: sent } = report.end;
  const seen = (report.server_output_json ?? report).intervals.map(({ sum }) => sum);
  return {
    mbits: received.bits_per_second / 1e6,
    bytes: received.bytes,
    seconds: received.seconds,
    retransmits: sent.retransmits ?? 0,
    longestStall: longestStall(seen),
    intervals: seen.map(({ bits_per_second: bits }) => Math.round(bits / 1e5) / 10),
  };
}

/** The longest row of intervals in which nothing arrived, s. */
export function longestStall(intervals) {
  let longest = 0;
  let current = 0;
  for (const { bytes, seconds } of intervals) {
    current = bytes === 0 ? current + seconds : 0;
    longest = Math.max(longest, current);
  }
  return longest;
}
