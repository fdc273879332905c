/**
 * `npm run interop`: scenarios of wirestream against a real kernel.
 *
 * Theory of operation. Outside, where the network is, a kernel package is fetched and a root file system is made of this host's programs. The rest runs
 * inside new network, mount and process namespaces (inner.ts): the kernel there ends all that was started when the first process ends, so that no virtual machine, tunnel or
 * interface is left behind after Ctrl-C, nor after a kill. Our end of the tunnel lives in that network namespace, the other one in the virtual machine behind a tap.
 */
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Job } from './inner.js';
import { HELP, readOptions, type Options } from './options.js';
import { select } from './scenario/select.js';
import { buildInitramfs } from './vm/initramfs.js';
import { fetchKernel, readModule, type Kernel } from './vm/kernelpackage.js';
import { loadOrder, type ModuleSource } from './vm/modules.js';
import { emulator } from './vm/qemu.js';

export { emulator, HELP, readOptions };

/** Modules of the guest: without the first ones nothing goes; the others may be built in, or are not needed by all. */
const MODULES = ['wireguard', 'virtio_net'];
const MAYBE_MODULES = ['virtio_pci', 'virtio_console', 'virtio_rng', 'ipv6', 'veth'];

/** Seconds that the inner part has to write its report when it is told to end. */
const GRACE = 25;

/** @returns exit code */
export async function interop(options: Options, packages: string, say: (line: string) => void): Promise<number> {
  const began = Date.now();
  for (const file of [options.module, options.wg]) {
    if (file !== null && !existsSync(file)) throw new Error(`${file}: no such file`);
  }
  select(options);
  // What takes its time and cannot be interrupted in order comes before there is anything to take away.
  const kernel = options.hostKernel || options.standIn ? null : fetchKernel(cacheFolder(), say);
  const folder = mkdtempSync(join(tmpdir(), 'wirestream-interop-'));
  try {
    const guest = kernel === null ? null : prepareGuest(kernel, options, folder, say);
    const job: Job = {
      options,
      folder,
      command: [process.execPath, join(packages, 'cli/bin/run.js')],
      daemon: [process.execPath, join(packages, 'cli/bin/wirestream-daemon.js')],
      guest,
      began,
    };
    const file = join(folder, 'job.json');
    writeFileSync(file, JSON.stringify(job));
    return await inside(file);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function cacheFolder(): string {
  return join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'wirestream', 'interop');
}

function prepareGuest(
  kernel: Kernel,
  options: Options,
  folder: string,
  say: (line: string) => void,
): NonNullable<Job['guest']> {
  const modules = loadOrder(withOwn(kernel.modules, options.module), MODULES, MAYBE_MODULES);
  const initramfs = join(folder, 'root.cpio');
  writeFileSync(initramfs, buildInitramfs({ modules, ...(options.wg === null ? {} : { wg: options.wg }) }));
  say(`booting ${kernel.packaged}`);
  return { image: kernel.image, initramfs, packaged: kernel.packaged };
}

/** The user's module in place of the kernel's. */
function withOwn(source: ModuleSource, file: string | null): ModuleSource {
  if (file === null) return source;
  return { path: (name) => (name === 'wireguard' ? file : source.path(name)), read: readModule };
}

async function inside(job: string): Promise<number> {
  const script = fileURLToPath(new URL('./inner.js', import.meta.url));
  const flags = ['--net', '--pid', '--fork', '--kill-child', '--mount-proc'];
  // The inner part takes the end of its standard input for the order to stop; a terminal's Ctrl-C is ours to pass on.
  const child = spawn('unshare', [...flags, process.execPath, script, job], {
    stdio: ['pipe', 'inherit', 'inherit'],
    detached: true,
  });
  const stop = (): void => {
    child.stdin.end();
    setTimeout(() => child.kill('SIGKILL'), GRACE * 1000).unref();
  };
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
  for (const signal of signals) process.on(signal, stop);
  try {
    return await new Promise<number>((resolve, reject) => {
      child.once('error', reject);
      child.once('exit', (code) => resolve(code ?? 1));
    });
  } finally {
    for (const signal of signals) process.off(signal, stop);
  }
}
