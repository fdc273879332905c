/** `npm run setup`: packages and build, nothing else. */
import { build, checkNode, installPackages } from './lib/setup.mjs';

checkNode();
installPackages();
build();
