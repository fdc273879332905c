import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { apt, type PackageSource } from './apt.js';
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

/** How many packages are tried. */
const CANDIDATES = 4;

/** No kernel is to be had here: nothing is known of wirestream by that. */
export class NoKernel extends Error {
  override name = 'NoKernel';
}

/**
 * The newest kernel that the package lists have and that can be had; without a network, one that was fetched before.
 * @param cache folder of unpacked packages
 * @throws NoKernel that says what could not be had, why, and what to do
 */
export function fetchKernel(cache: string, say: (line: string) => void, packages: PackageSource = apt): Kernel {
  mkdirSync(cache, { recursive: true });
  /** what went wrong, and the packages that it went wrong with */
  const complaints = new Map<string, string[]>();
  let isFresh = false;
  const refresh = (): void => {
    if (isFresh) return;
    isFresh = true;
    say('reading the package lists');
    const complaint = packages.update();
    if (complaint !== null) complaints.set(complaint, []);
  };
  let names = candidates(packages.names(), process.arch);
  if (names.length === 0) {
    refresh();
    names = candidates(packages.names(), process.arch);
  }
  for (const name of names.slice(0, CANDIDATES)) {
    const fetched = unpacked(cache, name, say, packages, refresh);
    const kernel = 'folder' in fetched ? openKernel(fetched.folder, name) : null;
    if (kernel !== null) return kernel;
    const complaint = 'complaint' in fetched ? fetched.complaint : 'no wireguard.ko in it';
    complaints.set(complaint, [...(complaints.get(complaint) ?? []), name]);
  }
  for (const name of candidates(readdirSync(cache), process.arch)) {
    const kernel = openKernel(join(cache, name), name);
    if (kernel === null) continue;
    say(
      `no newer kernel is to be had (${[...complaints.keys()][0] ?? 'the lists have none'}): ${name} was fetched before`,
    );
    return kernel;
  }
  if (names.length === 0) complaints.set(`the package lists have no linux-image for ${process.arch}`, []);
  const said = [...complaints].map(([what, of]) => (of.length === 0 ? what : `${what} (${of.join(', ')})`));
  throw new NoKernel(
    `no kernel to boot: ${said.join('; ')}. Kernels are Debian's: see to it that \`apt-get update\` and ` +
      `\`apt-get download ${names[0] ?? 'linux-image-…'}\` work, or unpack such a package with \`dpkg-deb -x FILE.deb ${join(cache, names[0] ?? 'NAME-OF-THE-PACKAGE', 'tree')}\``,
  );
}

function unpacked(
  cache: string,
  name: string,
  say: (line: string) => void,
  packages: PackageSource,
  refresh: () => void,
): { readonly folder: string } | { readonly complaint: string } {
  const folder = join(cache, name);
  if (existsSync(folder)) return { folder };
  say(`downloading ${name}`);
  const work = `${folder}.${process.pid}`;
  mkdirSync(work, { recursive: true });
  try {
    let complaint = packages.download(name, work);
    if (complaint !== null) {
      // Lists that are old name files that are not there any more.
      refresh();
      complaint = packages.download(name, work);
    }
    if (complaint !== null) return { complaint };
    renameSync(work, folder);
    return { folder };
  } catch (error) {
    // Two runs at once: the other one's is as good.
    if (existsSync(folder)) return { folder };
    throw error;
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

function openKernel(folder: string, name: string): Kernel | null {
  const tree = join(folder, 'tree');
  const boot = join(tree, 'boot');
  if (!existsSync(boot)) return null;
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
