import { REFERENCE } from './contestants/contestants.mjs';
import { shapeTitle } from './link/shape.mjs';
import { ratio } from './series.mjs';

/** Tables of results, for a terminal or as Markdown. A table is a title, a head and rows of words. */

export function seriesTable(series) {
  const { flows, results } = series;
  const head = ['', ...flows.flatMap((n) => [`${n} flow${n > 1 ? 's' : ''} Mbit/s`, 'retransmits'])];
  head.push(`× ${REFERENCE}`, 'CPU s/GB', 'sender', 'receiver', 'machine', 'RSS MB', 'idle ping ms', 'under load');
  const first = flows[0];
  const rows = results.map((result) => {
    const load = result.loads[first];
    const by = ratio(series, result.id, REFERENCE, (one) => one.loads[first].mbits);
    return [
      result.id,
      ...flows.flatMap((n) => [median(result.loads[n].mbits, 0), median(result.loads[n].retransmits, 0)]),
      median(by, 2),
      median(load.cpuPerGB, 2),
      median(load.cpuPerGBSender, 2),
      median(load.cpuPerGBReceiver, 2),
      median(load.machinePerGB, 2),
      memory(result, flows),
      pings(result.idlePing),
      pings(result.loadedPing),
    ];
  });
  return { title: `${series.name}: ${shapeTitle(series.shape)}; ${series.rounds} × ${series.seconds} s`, head, rows };
}

export function verdictTable(verdicts) {
  const rows = verdicts.map(({ what, target, reached, met }) => [what, target, reached, met ? 'yes' : 'NO']);
  return { title: 'what was asked, and what was reached', head: ['', 'target', 'reached', 'met'], rows };
}

export function microTable(micro) {
  const rows = micro.map(({ what, median: value, min, max, unit }) => [
    what,
    `${digits(value)} ${unit}`,
    range(min, max),
  ]);
  return { title: 'micro-benchmarks, one thread', head: ['', 'median', 'of runs'], rows };
}

export function rootlessTable({ results }) {
  const rows = results.map(({ what, mbits, cpuSecondsPerGB, runs }) => [
    what,
    mbits.toFixed(0),
    range(Math.min(...runs), Math.max(...runs)),
    cpuSecondsPerGB.toFixed(1),
  ]);
  return { title: 'one flow in user space, on loopback', head: ['', 'Mbit/s', 'of runs', 'CPU s/GB'], rows };
}

export function formatTable({ title, head, rows }, markdown = false) {
  if (markdown) {
    const line = (cells) => `| ${cells.join(' | ')} |`;
    const rule = head.map((_, i) => (i === 0 ? '---' : '---:'));
    return [`**${title}**`, '', line(head), line(rule), ...rows.map(line), ''].join('\n');
  }
  const width = head.map((_, i) => Math.max(...[head, ...rows].map((row) => row[i].length)));
  const line = (cells) =>
    cells.map((cell, i) => (i === 0 ? cell.padEnd(width[i]) : cell.padStart(width[i]))).join('  ');
  return [title, line(head), ...rows.map(line), ''].join('\n');
}

const median = (summary, places) => (summary === null ? '–' : summary.median.toFixed(places));
const digits = (value) => (value >= 100 ? value.toFixed(0) : value.toFixed(2));
const range = (min, max) => `${digits(min)}–${digits(max)}`;

/** The most that either end held. */
function memory(result, flows) {
  const most = flows.flatMap((n) =>
    [result.loads[n].memorySender, result.loads[n].memoryReceiver].map((one) => one?.max ?? 0),
  );
  const bytes = Math.max(...most);
  return bytes === 0 ? '–' : (bytes / 1e6).toFixed(0);
}

/** p50/p90/p99, and how many got lost. */
function pings(times) {
  if (times === null) return '–';
  const lost = times.lost > 0 ? ` (${times.lost} lost)` : '';
  return [times.p50, times.p90, times.p99].map((ms) => (ms >= 10 ? ms.toFixed(1) : ms.toFixed(2))).join('/') + lost;
}
