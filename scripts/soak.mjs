/** `npm run soak`: tunnels in use for a long time; `npm run soak -- --help` says what it takes. */
import { checkNode, installPackages, run } from './lib/setup.mjs';

checkNode();
installPackages();
if (!run(process.execPath, ['node_modules/typescript/bin/tsc', '-b', 'packages/fuzz'])) process.exit(1);
await import('../packages/fuzz/dist/soak/run.js');
