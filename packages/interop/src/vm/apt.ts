import { execFileSync, spawnSync } from 'node:child_process';
import { readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';

/** Where kernels come from. What goes wrong is told in a line. */
export interface PackageSource {
  /** packages of kernel images in the lists */
  names(): string[];
  /** Reads the lists anew. @returns why it cannot; null when it has */
  update(): string | null;
  /** Downloads a package and unpacks it below `tree` in a folder. @returns why it cannot; null when it has */
  download(name: string, folder: string): string | null;
}

/** Debian's packages, as this host's sources have them. */
export const apt: PackageSource = {
  names() {
    const { stdout } = spawnSync('apt-cache', ['pkgnames', 'linux-image-'], { encoding: 'utf8', timeout: 60_000 });
    return (stdout ?? '').split('\n').filter(Boolean);
  },
  update: () => complaintOf(['update', '-q'], 180_000),
  download(name, folder) {
    const complaint = complaintOf(['download', '-q', name], 240_000, folder);
    if (complaint !== null) return complaint;
    const file = join(
      folder,
      readdirSync(folder).find((f) => f.endsWith('.deb'))!,
    );
    execFileSync('dpkg-deb', ['-x', file, join(folder, 'tree')], { timeout: 120_000 });
    rmSync(file);
    return null;
  },
};

function complaintOf(args: string[], timeout: number, cwd?: string): string | null {
  const ran = spawnSync('apt-get', args, { ...(cwd === undefined ? {} : { cwd }), encoding: 'utf8', timeout });
  if (ran.status === 0) return null;
  if (ran.error !== undefined) {
    const code = (ran.error as NodeJS.ErrnoException).code;
    if (code === 'ENOENT') return 'this machine has no apt-get';
    if (code === 'ETIMEDOUT') return `apt-get ${args[0]} took longer than ${timeout / 1000} s`;
  }
  const said = (ran.stderr ?? '').split('\n').find((line) => line.startsWith('E: '));
  return said?.slice(3) ?? `apt-get ${args[0]} failed`;
}
