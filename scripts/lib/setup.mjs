/**
 * Brings a fresh clone to where its commands run: npm packages from the lock file, the build, Debian packages.
 * Needs only Node and npm; every step says what it does and is skipped when it is done already.
 */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

export const ROOT = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..');
const CACHE = path.join(ROOT, '.cache');
/** First Node release that has what the packages need. */
const NODE_MIN = [20, 19, 0];

export const isRoot = process.getuid?.() === 0;

/** Prints a line about what is being done. */
export function say(text) {
  console.log(process.stdout.isTTY ? `\u001b[1m==> ${text}\u001b[0m` : `==> ${text}`);
}

/** Runs a command to its end with its output shown. @returns whether it succeeded */
export function run(command, args, options = {}) {
  const { status, error } = spawnSync(command, args, { cwd: ROOT, stdio: 'inherit', ...options });
  if (error) console.error(`${command}: ${error.message}`);
  return status === 0;
}

export function checkNode() {
  const have = process.versions.node.split('.').map(Number);
  const order = NODE_MIN.findIndex((want, i) => have[i] !== want);
  if (order >= 0 && have[order] < NODE_MIN[order]) {
    throw new Error(`Node ${NODE_MIN.join('.')} or newer is needed; this is ${process.versions.node}`);
  }
}

/** Installs the lock file's packages, unless node_modules is what the lock file says already. */
export function installPackages() {
  const lock = createHash('sha256')
    .update(readFileSync(path.join(ROOT, 'package-lock.json')))
    .digest('hex');
  const stamp = path.join(CACHE, 'installed');
  const bin = path.join(ROOT, 'node_modules/.bin/tsc');
  if (existsSync(bin) && existsSync(stamp) && readFileSync(stamp, 'utf8') === lock) return;
  say('installing npm packages from the lock file');
  // No package here needs its install script: native parts come as prebuilt packages. `npm ci` would refuse a lock file without the
  // optional packages of other platforms, which not every registry mirror has; `install --no-save` takes the same versions.
  const quiet = ['--include=dev', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'];
  if (!run('npm', ['install', '--no-save', ...quiet])) throw new Error('npm install failed');
  mkdirSync(CACHE, { recursive: true });
  writeFileSync(stamp, lock);
}

export function build() {
  say('building');
  if (!run(process.execPath, ['node_modules/typescript/bin/tsc', '-b'])) throw new Error('the build failed');
}

/**
 * Sees to it that programs are there, from Debian packages where this is root on Debian.
 * @param {Record<string, string>} programs program → package
 * @returns {string[]} programs that are still missing
 */
export function installPrograms(programs) {
  const missing = () => Object.keys(programs).filter((program) => !which(program));
  if (missing().length === 0 || !isRoot || !which('apt-get')) return missing();
  const packages = [...new Set(missing().map((program) => programs[program]))];
  say(`installing Debian packages: ${packages.join(' ')}`);
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  const quiet = { env, stdio: ['ignore', 'ignore', 'inherit'] };
  const install = ['install', '-y', '-q', '--no-install-recommends', ...packages];
  if (!run('apt-get', install, { ...quiet, stdio: 'ignore' })) {
    run('apt-get', ['update', '-q'], quiet);
    run('apt-get', install, quiet);
  }
  return missing();
}

function which(program) {
  const folders = [...(process.env.PATH ?? '').split(':'), '/usr/sbin', '/sbin'];
  return folders.some((folder) => existsSync(path.join(folder, program)));
}
