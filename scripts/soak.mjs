/** `npm run soak`: tunnels in use for a long time; `npm run soak -- --help` says what it takes. */
/* global AbortController */
import { checkNode, installPackages, run } from './lib/setup.mjs';

checkNode();
installPackages();
if (!run(process.execPath, ['node_modules/typescript/bin/tsc', '-b', 'packages/fuzz'])) process.exit(1);
const { soak } = await import('../packages/fuzz/dist/soak/soak.js');

const stop = new AbortController();
process.on('SIGINT', () => stop.abort());
process.on('SIGTERM', () => stop.abort());
try {
  process.exitCode = await soak(process.argv.slice(2), (line) => console.log(line), stop.signal);
} catch (error) {
  console.error(error.message);
  process.exitCode = 2;
}
