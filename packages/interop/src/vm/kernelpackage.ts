import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { moduleOfFile, type ModuleSource } from './modules.js';

/**
 * Debian's newest kernel that has WireGuard, unpacked into a cache folder: nothing of it is installed on this host.
 */

export interface Kernel {
  /** as `uname -r` says in the guest */
  readonly release: string;
  /** package and its version */
  readonly packaged: string;
  readonly image: string;
  readonly modules: ModuleSource;
}

/** Debian's names of architectures, and the flavours of its kernels that boot in a virtual machine, the smallest first. */
const FLAVOURS: Readonly<Record<string, readonly string[]>> = {
  x64: ['cloud-amd64', 'amd64'],
  arm64: ['cloud-arm64', 'arm64'],
};

/**
 * Packages of images, the newest version first, and of one version the smallest first.
 * @param names what the package lists have
 */
export function candidates(names: readonly string[], arch: string): string[] {
  const flavours = FLAVOURS[arch] ?? [];
  const found = names.flatMap((name) => {
    const match = /^linux-image-(\d[\d.]*(?:-\d+)?(?:\+[a-z0-9.]+|~[a-z0-9.]+)*)-([a-z][a-z0-9-]*)$/.exec(name);
    const flavour = match === null ? -1 : flavours.indexOf(match[2]!);
    return flavour < 0 ? [] : [{ name, flavour, numbers: match![1]!.split(/\D+/).filter(Boolean).map(Number) }];
  });
  found.sort((a, b) => compare(b.numbers, a.numbers) || a.flavour - b.flavour);
  return found.map(({ name }) => name);
}

function compare(a: readonly number[], b: readonly number[]): number {
  const at = a.findIndex((n, i) => n !== (b[i] ?? -1));
  if (at < 0) return a.length - b.length;
  return a[at]! - (b[at] ?? -1);
}

/** No kernel is to be had here: nothing is known of wirestream by that. */
export class NoKernel extends Error {
  override name = 'NoKernel';
}

/** @throws NoKernel that says what could not be had */
export function fetchKernel(cache: string, say: (line: string) => void): Kernel {
  mkdirSync(cache, { recursive: true });
  let names = listed();
  if (candidates(names, process.arch).length === 0) {
    say('reading the package lists');
    spawnSync('apt-get', ['update', '-q'], { stdio: 'ignore', timeout: 180_000 });
    names = listed();
  }
  const tried: string[] = [];
  for (const name of candidates(names, process.arch).slice(0, 4)) {
    const folder = unpacked(cache, name, say);
    const kernel = folder === null ? null : openKernel(folder, name);
    if (kernel !== null) return kernel;
    tried.push(name);
  }
  throw new NoKernel(
    tried.length > 0
      ? `no kernel with wireguard.ko: tried ${tried.join(', ')}`
      : `the package lists have no linux-image for ${process.arch}`,
  );
}

function listed(): string[] {
  const { stdout } = spawnSync('apt-cache', ['pkgnames', 'linux-image-'], { encoding: 'utf8', timeout: 60_000 });
  return (stdout ?? '').split('\n').filter(Boolean);
}

function unpacked(cache: string, name: string, say: (line: string) => void): string | null {
  const folder = join(cache, name);
  if (existsSync(folder)) return folder;
  say(`downloading ${name}`);
  const work = `${folder}.${process.pid}`;
  mkdirSync(work, { recursive: true });
  try {
    const get = (): boolean =>
      spawnSync('apt-get', ['download', '-q', name], { cwd: work, stdio: 'ignore', timeout: 240_000 }).status === 0;
    if (!get()) {
      spawnSync('apt-get', ['update', '-q'], { stdio: 'ignore', timeout: 180_000 });
      if (!get()) return null;
    }
    const file = readdirSync(work).find((f) => f.endsWith('.deb'))!;
    execFileSync('dpkg-deb', ['-x', join(work, file), join(work, 'tree')], { timeout: 120_000 });
    rmSync(join(work, file));
    renameSync(work, folder);
    return folder;
  } catch (error) {
    // Two runs at once: the other one's is as good.
    if (existsSync(folder)) return folder;
    throw error;
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

function openKernel(folder: string, name: string): Kernel | null {
  const tree = join(folder, 'tree');
  const boot = join(tree, 'boot');
  const image = readdirSync(boot).find((file) => file.startsWith('vmlinu'));
  if (image === undefined) return null;
  const release = image.replace(/^vmlinu[xz]-/, '');
  const root = [`lib/modules/${release}`, `usr/lib/modules/${release}`].map((p) => join(tree, p)).find(existsSync);
  if (root === undefined) return null;
  const modules = moduleFolder(root);
  if (modules.path('wireguard') === undefined) return null;
  return { release, packaged: name, image: join(boot, image), modules };
}

/** Modules anywhere under a folder, compressed or not. */
export function moduleFolder(root: string): ModuleSource {
  const paths = new Map<string, string>();
  for (const file of readdirSync(root, { recursive: true }) as string[]) {
    const name = moduleOfFile(file);
    if (name !== null) paths.set(name, join(root, file));
  }
  return { path: (name) => paths.get(name), read: readModule };
}

export function readModule(path: string): Uint8Array {
  if (path.endsWith('.gz')) return gunzipSync(readFileSync(path));
  const program = path.endsWith('.xz') ? 'xz' : path.endsWith('.zst') ? 'zstd' : null;
  if (program === null) return readFileSync(path);
  return execFileSync(program, ['-dc', path], { maxBuffer: 256 << 20 });
}
