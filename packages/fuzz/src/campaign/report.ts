import { existsSync, readFileSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import type { MapData } from './coverage.js';

/** Lines and branches of one folder, and how many of them ran. */
export interface Tally {
  lines: number;
  linesRun: number;
  branches: number;
  branchesRun: number;
}

const CORE = fileURLToPath(new URL('.', import.meta.resolve('@wirestream/core/address/ip')));
const ROOT = path.dirname(CORE);

/**
 * Counts as c8 does: a line has run when the block that it begins in has, a branch is a block that V8 tells apart. Lines without code (blank ones,
 * comments, closing brackets) do not count; files that were never loaded do, with nothing of them run.
 */
export function tally(data: readonly MapData[]): Map<string, Tally> {
  const byUrl = new Map(data.map((map) => [map.url, map]));
  const out = new Map<string, Tally>();
  for (const file of compiledFiles()) {
    const folder = file.split(path.sep)[0]!;
    const sum = out.get(folder) ?? { lines: 0, linesRun: 0, branches: 0, branchesRun: 0 };
    out.set(folder, sum);
    const full = path.join(ROOT, file);
    addFile(sum, readFileSync(full, 'utf8'), byUrl.get(pathToFileURL(full).href));
  }
  return out;
}

function addFile(sum: Tally, text: string, map: MapData | undefined): void {
  for (const { at } of codeLines(text)) {
    sum.lines++;
    if (map?.ran[at] === 1) sum.linesRun++;
  }
  if (map === undefined) {
    sum.branches++;
    return;
  }
  for (const block of map.blocks) {
    sum.branches++;
    if (map.ran[Number(block.split('-')[0])] === 1) sum.branchesRun++;
  }
}

/** Lines that hold code, and where the code begins in the file. */
function* codeLines(text: string): Generator<{ number: number; code: string; at: number }> {
  let at = 0;
  let inComment = false;
  for (const [i, line] of text.split('\n').entries()) {
    const code = line.trim();
    if (code.startsWith('/*')) inComment = true;
    if (!inComment && code !== '' && !code.startsWith('//') && !/^[\])};,]+$/.test(code))
      yield { number: i + 1, code, at: at + line.length - line.trimStart().length };
    if (inComment && code.endsWith('*/')) inComment = false;
    at += line.length + 1;
  }
}

/** The lines of compiled code that never ran, file by file. */
export function listUncovered(data: readonly MapData[]): string {
  const byUrl = new Map(data.map((map) => [map.url, map]));
  let out = '';
  for (const file of compiledFiles()) {
    const full = path.join(ROOT, file);
    const map = byUrl.get(pathToFileURL(full).href);
    const missing = [...codeLines(readFileSync(full, 'utf8'))].filter(({ at }) => map?.ran[at] !== 1);
    if (missing.length === 0) continue;
    out += `${file}: ${missing.length} lines${map === undefined ? ', never loaded' : ''}\n`;
    if (map !== undefined) for (const { number, code } of missing) out += `${String(number).padStart(6)}  ${code}\n`;
  }
  return out;
}

function compiledFiles(): string[] {
  const files = readdirSync(ROOT, { recursive: true, encoding: 'utf8' });
  // What was moved away leaves its compiled form behind.
  const isThere = (file: string) => existsSync(path.join(ROOT, '../src', file.replace(/js$/, 'ts')));
  return files.filter((file) => file.endsWith('.js') && isThere(file)).sort();
}

/** A table, folder by folder, and the whole with and without the drivers. */
export function printCoverage(data: readonly MapData[]): string[] {
  const folders = [...tally(data)].sort(([a], [b]) => (a < b ? -1 : 1));
  const isDriver = (name: string) => name === 'linux' || name === 'portable';
  const add = (list: typeof folders): Tally =>
    list.reduce(
      (sum, [, one]) => ({
        lines: sum.lines + one.lines,
        linesRun: sum.linesRun + one.linesRun,
        branches: sum.branches + one.branches,
        branchesRun: sum.branchesRun + one.branchesRun,
      }),
      { lines: 0, linesRun: 0, branches: 0, branchesRun: 0 },
    );
  const row = (name: string, { lines, linesRun, branches, branchesRun }: Tally) =>
    `  ${name.padEnd(22)}${percent(linesRun, lines)} of ${String(lines).padStart(6)} lines   ${percent(branchesRun, branches)} of ${String(branches).padStart(5)} branches`;
  return [
    'coverage of packages/core/src',
    ...folders.map(([name, sum]) => row(name, sum)),
    row('without the drivers', add(folders.filter(([name]) => !isDriver(name)))),
    row('all', add(folders)),
  ];
}

function percent(part: number, whole: number): string {
  return `${((100 * part) / Math.max(1, whole)).toFixed(1).padStart(5)} %`;
}
