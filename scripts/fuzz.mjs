/** `npm run fuzz`: random and coverage-guided runs of every property; `npm run fuzz -- --help` says what it takes. */
import { checkNode, installPackages, run } from './lib/setup.mjs';

checkNode();
installPackages();
if (!run(process.execPath, ['node_modules/typescript/bin/tsc', '-b', 'packages/fuzz'])) process.exit(1);
const { fuzz } = await import('../packages/fuzz/dist/campaign/fuzz.js');
try {
  process.exitCode = await fuzz(process.argv.slice(2), (line) => console.log(line));
} catch (error) {
  console.error(error.stack ?? error.message);
  process.exitCode = 2;
}
