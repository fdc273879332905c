/**
 * A writer of cpio archives in the "newc" format, which the kernel unpacks as its first root file system
 * (Documentation/driver-api/early-userspace/buffer-format.rst of the kernel).
 */

export interface CpioEntry {
  /** path without a leading slash */
  readonly path: string;
  /** file type and permissions, as st_mode has them */
  readonly mode: number;
  /** content of a file, target of a symbolic link; empty for folders and devices */
  readonly data: Uint8Array;
  /** major and minor number of a device */
  readonly device?: readonly [number, number];
}

const MAGIC = '070701';
const TRAILER = 'TRAILER!!!';
/** st_mode's file types (inode(7)). */
export const S_IFREG = 0o100000;
export const S_IFDIR = 0o040000;
export const S_IFLNK = 0o120000;
export const S_IFCHR = 0o020000;

/** Entries in order; folders that no entry names are put in front of the first one inside them. */
export function cpioArchive(entries: readonly CpioEntry[]): Buffer {
  const parts: Buffer[] = [];
  const known = new Set<string>();
  let inode = 1;
  const add = (entry: CpioEntry): void => {
    known.add(entry.path);
    parts.push(...member(entry, inode++));
  };
  for (const entry of entries) {
    if (known.has(entry.path)) throw new Error(`two entries for ${entry.path}`);
    const folders = entry.path.split('/').slice(0, -1);
    folders.forEach((_, i) => {
      const folder = folders.slice(0, i + 1).join('/');
      if (!known.has(folder)) add({ path: folder, mode: S_IFDIR | 0o755, data: new Uint8Array() });
    });
    add(entry);
  }
  parts.push(...member({ path: TRAILER, mode: 0, data: new Uint8Array() }, 0));
  return Buffer.concat(parts);
}

function member({ path, mode, data, device }: CpioEntry, inode: number): Buffer[] {
  const name = Buffer.from(`${path}\0`);
  const links = (mode & 0o170000) === S_IFDIR ? 2 : 1;
  // ino, mode, uid, gid, nlink, mtime, filesize, devmajor, devminor, rdevmajor, rdevminor, namesize, check
  const fields = [inode, mode, 0, 0, links, 0, data.length, 0, 0, device?.[0] ?? 0, device?.[1] ?? 0, name.length, 0];
  const header = Buffer.from(MAGIC + fields.map((n) => n.toString(16).toUpperCase().padStart(8, '0')).join(''));
  return [header, name, padding(header.length + name.length), Buffer.from(data), padding(data.length)];
}

function padding(length: number): Buffer {
  return Buffer.alloc(-length & 3);
}
