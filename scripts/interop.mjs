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
  installPackages();
  build();
  const { HELP, emulator, interop, readOptions } = await import('../packages/interop/dist/main.js');
  const options = readOptions(argv, process.cwd());
  if (options === null) {
    console.log(HELP);
    return 0;
  }
  const why = obstacle(options, emulator());
  if (why === null) {
    try {
      return await interop(options, path.join(ROOT, 'packages'), (line) => console.log(line));
    } catch (error) {
      if (options.quick && error.name === 'NoKernel') return skip(error.message);
      throw error;
    }
  }
  if (!options.quick) throw new Error(why);
  return skip(why);
}

function skip(why) {
  console.log(`SKIPPED: scenarios against a real kernel: ${why}`);
  console.log('0 passed, 0 failed, 1 skipped');
  return 0;
}

/** Why the lab cannot run here; null when it can. What can be installed is. */
function obstacle(options, qemu) {
  if (process.platform !== 'linux') return 'they need Linux';
  if (!isRoot) return 'they need root, for network namespaces and a tap: run it as root';
  if (!existsSync('/dev/net/tun')) return 'they need /dev/net/tun';
  const machine = !options.hostKernel && !options.standIn;
  if (machine && qemu === null) return `no emulator is known for ${process.arch}`;
  const missing = installPrograms(machine ? { ...PROGRAMS, [qemu.program]: qemu.packaged } : PROGRAMS);
  return missing.length > 0 ? `${missing.join(', ')} missing, and no way to install it here` : null;
}
