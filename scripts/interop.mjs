/**
 * `npm run interop`: scenarios against a real Linux kernel in a virtual machine (docs/interop.md); the last line is
 * `N passed, N failed, N skipped`. With --quick, a machine that cannot run them is no failure: it says why they are skipped.
 */
import { existsSync } from 'node:fs';
import path from 'node:path';
import { ROOT, build, checkNode, installPackages, installPrograms, isRoot } from './lib/setup.mjs';

/** What the lab needs: program → Debian package; the emulator comes to them. */
const PROGRAMS = {
  ip: 'iproute2',
  ping: 'iputils-ping',
  iperf3: 'iperf3',
  tcpdump: 'tcpdump',
  wg: 'wireguard-tools',
  busybox: 'busybox-static',
  xz: 'xz-utils',
  unshare: 'util-linux',
  sysctl: 'procps',
};

const argv = process.argv.slice(2);

try {
  process.exitCode = await main();
} catch (error) {
  console.error(`interop: ${error.message}`);
  if (process.env.WIRESTREAM_DEBUG === '1') console.error(error.stack);
  console.log('0 passed, 1 failed, 0 skipped');
  process.exitCode = error.code?.startsWith('ERR_PARSE_ARGS') ? 2 : 1;
}

async function main() {
  checkNode();
  const isQuick = argv.includes('--quick');
  // Before anything is written here: what another user installs and builds would not be root's.
  const unsuited = argv.includes('--help') ? null : unsuitedHost();
  if (unsuited !== null) return refuse(unsuited, isQuick);
  installPackages();
  build();
  const { HELP, emulator, interop, readOptions } = await import('../packages/interop/dist/main.js');
  const options = readOptions(argv, process.cwd());
  if (options === null) {
    console.log(HELP);
    return 0;
  }
  const missing = missingPrograms(options, emulator());
  if (missing !== null) return refuse(missing, isQuick);
  try {
    return await interop(options, path.join(ROOT, 'packages'), (line) => console.log(line));
  } catch (error) {
    if (error.name === 'NoKernel') return refuse(error.message, isQuick);
    throw error;
  }
}

/** With --quick a machine that cannot run the scenarios is no failure. */
function refuse(why, isQuick) {
  if (!isQuick) throw new Error(`the scenarios cannot run here: ${why}`);
  console.log(`SKIPPED: scenarios against a real kernel: ${why}`);
  console.log('0 passed, 0 failed, 1 skipped');
  return 0;
}

/** Why no installation would help; null when the lab can run here. */
function unsuitedHost() {
  if (process.platform !== 'linux') return 'they need Linux';
  if (!isRoot) return 'they need root, for network namespaces and a tap: start the same command as root, or with sudo';
  if (!existsSync('/dev/net/tun')) return 'they need /dev/net/tun, which a container has to be given';
  return null;
}

/** Which programs are not there and could not be installed; null when all are there. */
function missingPrograms(options, qemu) {
  const machine = !options.hostKernel && !options.standIn;
  if (machine && qemu === null) return `no emulator is known for ${process.arch}`;
  const programs = machine ? { ...PROGRAMS, [qemu.program]: qemu.packaged } : PROGRAMS;
  const missing = installPrograms(programs);
  if (missing.length === 0) return null;
  const packages = [...new Set(missing.map((program) => programs[program]))].join(' ');
  return `${missing.join(', ')} missing, and apt-get did not get them: install ${packages} (Debian's names), and start again`;
}
