import type { ChartRow, ChartRows } from './chartrows.js';

/** Sizes in pixels. */
const TIME = 100;
const COLUMN = 420;
const ROW = 30;
const TOP = 74;
const BOTTOM = 34;
const FONT = 12;
/** About how wide a character is. */
const GLYPH = 0.6 * FONT;
/** Colours that are told apart by most people, for carriers in turn (Okabe and Ito's palette without yellow and black). */
const CARRIERS = ['#0072b2', '#d55e00', '#009e73', '#cc79a7', '#56b4e9', '#e69f00'];
const ODD = '#c00000';

/** A sequence chart as SVG: hosts side by side, time downwards, one row for each event. Rows are not to scale; each says when it was. */
export function chartSvg({ rows, lifelines, left }: ChartRows, title: string): string {
  const width = TIME + Math.max(1, lifelines.length) * COLUMN;
  const notes = left > 0 ? 1 : 0;
  const height = TOP + (rows.length + notes) * ROW + BOTTOM;
  const out = [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" font-family="sans-serif" font-size="${FONT}">`,
    `<title>${escaped(title)}</title>`,
    `<rect width="100%" height="100%" fill="#fff"/>`,
    `<text x="8" y="${TOP - 12}" fill="#666">seconds</text>`,
  ];
  lifelines.forEach(({ address, name }, i) => {
    const x = middle(i);
    out.push(
      `<path d="M${x} ${TOP - 8}V${height - 12}" stroke="#bbb"/>`,
      `<rect x="${x - 130}" y="12" width="260" height="46" rx="6" fill="#f0f3f7" stroke="#bbb"/>`,
      text(x, name === '' ? 39 : 30, address, '#000', 'middle', ' font-weight="bold"'),
    );
    if (name !== '') out.push(text(x, 48, shortened(name, 34), '#444', 'middle'));
  });
  rows.forEach((row, i) => out.push(...rowLines(row, TOP + i * ROW + ROW / 2)));
  if (left > 0) out.push(text(TIME, TOP + (rows.length + 0.5) * ROW, `… and ${left} more events`, ODD, 'start'));
  out.push('</svg>', '');
  return out.join('\n');
}

function rowLines(row: ChartRow, y: number): string[] {
  const [x1, x2] = [middle(row.from), middle(row.to)];
  const carrier = CARRIERS[(row.carrier + (row.isUdp ? 3 : 0)) % CARRIERS.length]!;
  const colour = row.isOdd && row.kind !== 'data' ? ODD : carrier;
  const time = text(TIME - 24, y + 4, row.time.toFixed(6), '#666', 'end');
  const room = Math.abs(x2 - x1) / GLYPH;
  const label = text((x1 + x2) / 2, y - 4, shortened(row.text, Math.max(30, room)), row.isOdd ? ODD : '#000', 'middle');
  if (row.kind === 'change') {
    return [time, `<path d="M${x1} ${y}H${x2}" stroke="${colour}" stroke-width="6" stroke-opacity="0.25"/>`, label];
  }
  const style = { connection: ' stroke-dasharray="5 4"', closing: ' stroke-dasharray="2 3"' }[row.kind as string] ?? '';
  const strong = row.kind === 'data' ? 3 : 1.5;
  const ahead = x2 > x1 ? -1 : 1;
  return [
    time,
    `<path d="M${x1} ${y}H${x2 + ahead * 6}" stroke="${colour}" stroke-width="${strong}"${style}/>`,
    `<path d="M${x2} ${y}l${ahead * 10} -5v10z" fill="${colour}"/>`,
    label,
  ];
}

function middle(lifeline: number): number {
  return TIME + lifeline * COLUMN + COLUMN / 2 - 60;
}

function text(x: number, y: number, content: string, colour: string, anchor: string, more = ''): string {
  return `<text x="${x}" y="${y}" fill="${colour}" text-anchor="${anchor}"${more}>${escaped(content)}</text>`;
}

function shortened(content: string, most: number): string {
  return content.length <= most ? content : `${content.slice(0, Math.max(1, Math.floor(most) - 1))}…`;
}

/** Names come from files of keys, which may hold anything: what XML forbids goes too. */
function escaped(content: string): string {
  return (
    content
      // eslint-disable-next-line no-control-regex
      .replaceAll(/[\u0000-\u001f\ufffe\uffff]/g, '�')
      .replaceAll('&', '&amp;')
      .replaceAll('<', '&lt;')
      .replaceAll('>', '&gt;')
      .replaceAll('"', '&quot;')
  );
}
