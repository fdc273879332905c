/** `npm run sim`: simulated runs of the connection engine; `npm run sim -- --help` says what it takes. */
/* global AbortController */
import { checkNode, installPackages, run } from './lib/setup.mjs';

checkNode();
installPackages();
if (!run(process.execPath, ['node_modules/typescript/bin/tsc', '-b', 'packages/fuzz'])) process.exit(1);
const { sim } = await import('../packages/fuzz/dist/cli/sim.js');

/** On a terminal one line that is written over, elsewhere a line now and then. */
const PROGRESS_EVERY = process.stdout.isTTY ? 200 : 10_000;
let progressAt = performance.now();
let isLineOpen = false;
function progress(line) {
  if (performance.now() < progressAt + PROGRESS_EVERY) return;
  progressAt = performance.now();
  if (!process.stdout.isTTY) return console.log(line);
  process.stdout.write(`\r${line.slice(0, process.stdout.columns - 1)}\x1b[K`);
  isLineOpen = true;
}
function out(line) {
  if (isLineOpen) process.stdout.write('\r\x1b[K');
  isLineOpen = false;
  console.log(line);
}

const stop = new AbortController();
process.once('SIGINT', () => stop.abort());
process.once('SIGTERM', () => stop.abort());
try {
  process.exitCode = await sim(process.argv.slice(2), { out, progress, signal: stop.signal });
} catch (error) {
  console.error(error.message);
  process.exitCode = 2;
}
