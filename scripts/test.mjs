/**
 * `npm test`: installs, builds, checks and tests; the last line is `N passed, N failed, N skipped`.
 *
 *   npm test                    everything
 *   npm test -- PATTERN …       only test files whose path matches, without the checks
 */
import { readFileSync, readdirSync, rmSync } from 'node:fs';
import path from 'node:path';
import { ROOT, build, checkNode, installPackages, installPrograms, isRoot, run, say } from './lib/setup.mjs';

/** What tests on real interfaces need: program → Debian package. */
const PROGRAMS = {
  ip: 'iproute2',
  ping: 'iputils-ping',
  iperf3: 'iperf3',
  tcpdump: 'tcpdump',
  tshark: 'tshark',
  wg: 'wireguard-tools',
  'wireguard-go': 'wireguard-go',
  nft: 'nftables',
  sysctl: 'procps',
  unshare: 'util-linux',
  curl: 'curl',
  nc: 'netcat-openbsd',
  setpriv: 'util-linux',
};

/** Run by `npm run test:long` only, or when named: too long, or too sensitive to what else the machine does, for every change. */
const LONG_TESTS = ['engine', 'fulltunnel'].map((name) => `(e2e|network)/${name}\\.e2e\\.test\\.ts$`);
const LONG = process.env.WIRESTREAM_LONG === '1';

const patterns = process.argv.slice(2);
const total = { passed: 0, failed: 0, skipped: 0 };

function check(name, command, args) {
  say(name);
  const passed = run(command, args);
  total[passed ? 'passed' : 'failed']++;
  console.log(`${passed ? 'PASS' : 'FAIL'} ${name}`);
}

/** TypeScript takes a project without files for a mistake. */
function hasTests(name) {
  const folder = path.join(ROOT, 'packages', name, 'test');
  return readdirSync(folder, { recursive: true }).some((file) => file.endsWith('.ts'));
}

function jest(name, args) {
  say(name);
  const report = path.join(ROOT, '.cache', `jest-${process.pid}.json`);
  const passed = run(
    process.execPath,
    [
      '--experimental-vm-modules',
      '--disable-warning=ExperimentalWarning',
      'node_modules/jest/bin/jest.js',
      '--json',
      `--outputFile=${report}`,
      '--passWithNoTests',
      ...args,
      ...patterns,
    ],
    { stdio: ['ignore', 'ignore', 'inherit'] },
  );
  let result;
  try {
    result = JSON.parse(readFileSync(report, 'utf8'));
    rmSync(report);
  } catch {
    total.failed++;
    return;
  }
  total.passed += result.numPassedTests;
  total.failed += result.numFailedTests + result.numRuntimeErrorTestSuites;
  total.skipped += result.numPendingTests + result.numTodoTests;
  if (!passed && result.numFailedTests + result.numRuntimeErrorTestSuites === 0) total.failed++;
}

try {
  checkNode();
  installPackages();
  build();
  const missing = installPrograms(PROGRAMS);
  if (!isRoot) console.log('SKIPPED: tests in network namespaces (they need root)');
  else if (missing.length > 0)
    console.log(`SKIPPED: tests that need ${missing.join(', ')} (not installed, and no way to install it)`);
  if (patterns.length === 0) {
    const tsc = (project) => [process.execPath, ['node_modules/typescript/bin/tsc', '-p', project]];
    for (const name of ['core', 'cli', 'fuzz', 'interop'].filter(hasTests))
      check(`types of the tests of ${name}`, ...tsc(`packages/${name}/test`));
    check('lint', process.execPath, ['node_modules/eslint/bin/eslint.js', '.']);
    check('format', process.execPath, ['node_modules/prettier/bin/prettier.cjs', '--check', '--log-level=warn', '.']);
  }
  // Tests on real interfaces one after the other: two at a time would share the cores that they measure time on.
  const unit = ['\\.e2e\\.test\\.ts$', ...(LONG || patterns.length > 0 ? [] : LONG_TESTS)];
  jest('tests', [...unit.map((pattern) => `--testPathIgnorePatterns=${pattern}`), '--maxWorkers=2']);
  const real = LONG || patterns.length > 0 ? [] : LONG_TESTS.map((pattern) => `--testPathIgnorePatterns=${pattern}`);
  jest('tests with the built command and real interfaces', ['--testMatch=**/*.e2e.test.ts', '--runInBand', ...real]);
} catch (error) {
  console.error(`FAIL ${error.message}`);
  total.failed++;
}
console.log(`${total.passed} passed, ${total.failed} failed, ${total.skipped} skipped`);
process.exitCode = total.failed > 0 ? 1 : 0;
