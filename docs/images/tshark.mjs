/**
 * Makes tshark.svg: what tshark prints of a recording of the kernel's TCP transport once wirestream has re-presented it.
 *
 *     node docs/images/tshark.mjs
 *
 * Needs the build and tshark. The capture is a fixture, so that the picture is the same each time but for tshark's version.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const HERE = path.dirname(fileURLToPath(import.meta.url));
const ROOT = path.resolve(HERE, '../..');
const NAME = 'tcp-handshake-ping-v4';
/** Frames that are listed, and the one that is shown in full. */
const LISTED = 12;
const DETAILED = 5;

/** Sizes in pixels; a monospaced glyph is about 0.6 of its height wide. */
const FONT = 13;
const GLYPH = FONT * 0.602;
const LINE = 18;
const MARGIN = 16;
const BAR = 30;
const COLOURS = {
  back: '#1e1e2e',
  bar: '#313244',
  text: '#cdd6f4',
  prompt: '#a6e3a1',
  strong: '#89b4fa',
  dim: '#9399b2',
};

const folder = mkdtempSync(path.join(tmpdir(), 'wirestream-picture-'));
try {
  const lines = [];
  const shown = (command, program, args, keep) => {
    lines.push({ text: `$ ${command}`, colour: COLOURS.prompt });
    const text = execFileSync(program, args, { cwd: folder, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
    for (const line of keep(text.trimEnd().split('\n'))) lines.push(line);
    lines.push({ text: '', colour: COLOURS.text });
  };
  const fixture = (extension) => path.join(ROOT, `fixtures/kernel/${NAME}.${extension}`);
  const run = path.join(ROOT, 'packages/cli/bin/run.js');
  const flags = ['--to-udp', 'office.pcapng', '--embed-keys', '--summary'];
  shown(
    'wirestream decode --keys office.keys --to-udp office.pcapng --embed-keys --summary office.pcap',
    process.execPath,
    [run, 'decode', '--keys', fixture('json'), ...flags, fixture('pcap')],
    (text) => text.slice(0, 7).map((line) => ({ text: line, colour: COLOURS.text })),
  );
  const one = `frame.number <= ${LISTED}`;
  shown(`tshark -r office.pcapng -Y '${one}'`, 'tshark', ['-n', '-r', 'office.pcapng', '-Y', one], (text) =>
    text.map((line) => ({ text: line, colour: /ICMP/.test(line) ? COLOURS.strong : COLOURS.text })),
  );
  const detail = `frame.number == ${DETAILED}`;
  shown(
    `tshark -r office.pcapng -Y '${detail}' -O wg,icmp`,
    'tshark',
    ['-n', '-r', 'office.pcapng', '-Y', detail, '-O', 'wg,icmp'],
    (text) => text.map((line) => ({ text: line, colour: /^\S/.test(line) ? COLOURS.strong : COLOURS.dim })),
  );
  while (lines.at(-1).text === '') lines.pop();
  writeFileSync(path.join(HERE, 'tshark.svg'), picture(lines));
} finally {
  rmSync(folder, { recursive: true, force: true });
}

function picture(lines) {
  const width = Math.ceil(Math.max(...lines.map(({ text }) => text.length)) * GLYPH) + 2 * MARGIN;
  const height = BAR + lines.length * LINE + 2 * MARGIN;
  const dots = ['#f38ba8', '#f9e2af', '#a6e3a1'].map(
    (colour, i) => `<circle cx="${MARGIN + 4 + 18 * i}" cy="${BAR / 2}" r="5.5" fill="${colour}"/>`,
  );
  const rows = lines.map(({ text, colour }, i) => {
    const y = BAR + MARGIN + i * LINE + FONT;
    return text === '' ? '' : `<text x="${MARGIN}" y="${y}" fill="${colour}">${escaped(text)}</text>`;
  });
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}">`,
    `<title>tshark with a tunnel over TCP that wirestream has re-presented</title>`,
    `<rect width="100%" height="100%" rx="8" fill="${COLOURS.back}"/>`,
    `<path d="M0 ${BAR}V8a8 8 0 0 1 8-8h${width - 16}a8 8 0 0 1 8 8v${BAR - 8}z" fill="${COLOURS.bar}"/>`,
    ...dots,
    `<g font-family="ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, monospace" font-size="${FONT}" xml:space="preserve">`,
    ...rows.filter(Boolean),
    '</g>',
    '</svg>',
    '',
  ].join('\n');
}

function escaped(text) {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}
