import { shapeTitle } from './link/shape.mjs';

/**
 * Bar charts as an SVG file: medians, with a line from the lowest to the highest round. One column of panels per series, one row per quantity.
 */

const PANEL = { width: 460, bar: 22, gap: 8, label: 128, value: 70, head: 34 };
const MARGIN = 16;
const TITLE = 44;
const COLOURS = {
  'wirestream-tcp': '#1f6feb',
  'wirestream-records': '#0a3d91',
  'wirestream-udp': '#57a0ff',
  'wireguard-go': '#9a6700',
  openvpn: '#8c6ca8',
  veth: '#8b949e',
};

/** The quantities of a series: title, and what of a result it shows. */
function quantities({ flows }) {
  const unit = (summary, scale = 1) =>
    summary && { median: summary.median / scale, min: summary.min / scale, max: summary.max / scale };
  const ping = (times) => times && { median: times.p50, min: times.p50, max: times.p99 };
  return [
    ...flows.map((n) => [`goodput, ${n} flow${n > 1 ? 's' : ''}, Mbit/s`, ({ loads }) => unit(loads[n].mbits)]),
    ['CPU seconds per GB, both ends', ({ id, loads }) => (id === 'veth' ? null : unit(loads[flows[0]].cpuPerGB))],
    ['ping idle, ms: median, to p99', ({ idlePing }) => ping(idlePing)],
    ['ping under load, ms: median, to p99', ({ loadedPing }) => ping(loadedPing)],
    [
      'resident memory under load, MB, receiver',
      ({ id, loads }) => (id === 'veth' ? null : unit(loads[flows[0]].memoryReceiver, 1e6)),
    ],
  ];
}

/** @returns the text of an SVG file */
export function chart(allSeries, subtitle) {
  const columns = allSeries.map((series, column) => {
    const x = MARGIN + column * (PANEL.width + MARGIN);
    let y = TITLE + 28;
    const parts = [text(x, TITLE + 12, `${series.name}: ${shapeTitle(series.shape)}`, { weight: 'bold' })];
    for (const [title, pick] of quantities(series)) {
      const bars = series.results
        .map((result) => ({ id: result.id, ...pick(result) }))
        .filter((bar) => bar.median !== undefined);
      if (bars.length === 0) continue;
      parts.push(panel(x, y, title, bars));
      y += PANEL.head + bars.length * (PANEL.bar + PANEL.gap) + MARGIN;
    }
    return { svg: parts.join('\n'), height: y };
  });
  const width = MARGIN + Math.max(1, columns.length) * (PANEL.width + MARGIN);
  const height = Math.max(120, ...columns.map((column) => column.height)) + MARGIN;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" font-family="sans-serif" font-size="12">`,
    `<rect width="${width}" height="${height}" fill="#ffffff"/>`,
    text(MARGIN, 22, 'wirestream bench', { size: 16, weight: 'bold' }),
    text(MARGIN, 38, subtitle, { colour: '#57606a', size: 11 }),
    ...columns.map((column) => column.svg),
    '</svg>',
    '',
  ].join('\n');
}

function panel(x, y, title, bars) {
  const top = Math.max(...bars.map((bar) => bar.max), Number.MIN_VALUE);
  const room = PANEL.width - PANEL.label - PANEL.value;
  const lengthOf = (value) => round((value / top) * room);
  const parts = [text(x, y + 16, title, { colour: '#57606a' })];
  bars.forEach(({ id, median, min, max }, i) => {
    const at = y + PANEL.head + i * (PANEL.bar + PANEL.gap) - 6;
    const left = x + PANEL.label;
    const middle = at + PANEL.bar / 2;
    parts.push(
      text(left - 8, middle + 4, id, { anchor: 'end' }),
      `<rect x="${left}" y="${at}" width="${lengthOf(median)}" height="${PANEL.bar}" fill="${COLOURS[id] ?? '#444444'}"/>`,
      `<path d="M${left + lengthOf(min)} ${middle}H${left + lengthOf(max)}" stroke="#24292f" stroke-width="1.5"/>`,
      text(left + Math.max(lengthOf(max), lengthOf(median)) + 6, middle + 4, digits(median), {}),
    );
  });
  return parts.join('\n');
}

function text(x, y, words, { anchor = 'start', weight = 'normal', size = 12, colour = '#24292f' }) {
  const safe = words.replace(/[&<>]/g, (c) => ({ '&': '&amp;', '<': '&lt;', '>': '&gt;' })[c]);
  return `<text x="${x}" y="${y}" text-anchor="${anchor}" font-weight="${weight}" font-size="${size}" fill="${colour}">${safe}</text>`;
}

const round = (n) => Math.round(n * 10) / 10;
const digits = (value) => (value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2));
