/** `npm run sim`: simulated runs of the connection engine; `npm run sim -- --help` says what it takes. */
import { checkNode, installPackages, run } from './lib/setup.mjs';

checkNode();
installPackages();
if (!run(process.execPath, ['node_modules/typescript/bin/tsc', '-b', 'packages/fuzz'])) process.exit(1);
const { sim } = await import('../packages/fuzz/dist/cli/sim.js');
try {
  process.exitCode = await sim(process.argv.slice(2), { out: (line) => console.log(line) });
} catch (error) {
  console.error(error.message);
  process.exitCode = 2;
}
