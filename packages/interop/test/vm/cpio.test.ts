import { describe, expect, test } from '@jest/globals';
import { S_IFCHR, S_IFLNK, S_IFREG, cpioArchive } from '../../src/vm/cpio.js';

interface Read {
  path: string;
  mode: number;
  data: string;
  device: [number, number];
}

/** As the kernel's unpacker reads it (init/initramfs.c): fields of eight hexadecimal digits, parts at multiples of four. */
function read(archive: Buffer): Read[] {
  const entries: Read[] = [];
  for (let at = 0; ;) {
    expect(at % 4).toBe(0);
    expect(archive.toString('latin1', at, at + 6)).toBe('070701');
    const field = (i: number): number => parseInt(archive.toString('latin1', at + 6 + 8 * i, at + 14 + 8 * i), 16);
    const nameSize = field(11);
    const path = archive.toString('latin1', at + 110, at + 110 + nameSize - 1);
    expect(archive[at + 110 + nameSize - 1]).toBe(0);
    const begin = (at + 110 + nameSize + 3) & ~3;
    const end = begin + field(6);
    if (path === 'TRAILER!!!') {
      expect((end + 3) & ~3).toBe(archive.length);
      return entries;
    }
    entries.push({ path, mode: field(1), data: archive.toString('utf8', begin, end), device: [field(9), field(10)] });
    at = (end + 3) & ~3;
  }
}

describe('cpioArchive', () => {
  test('files, links and devices, with the folders that they are in before them', () => {
    const entries = read(
      cpioArchive([
        { path: 'init', mode: S_IFREG | 0o755, data: Buffer.from('#!/bin/sh\n') },
        { path: 'usr/bin/a', mode: S_IFREG | 0o755, data: Buffer.from('abcde') },
        { path: 'usr/bin/b', mode: S_IFLNK | 0o777, data: Buffer.from('a') },
        { path: 'dev/console', mode: S_IFCHR | 0o600, data: new Uint8Array(), device: [5, 1] },
      ]),
    );
    expect(entries.map(({ path, mode, data }) => [path, mode.toString(8), data])).toEqual([
      ['init', '100755', '#!/bin/sh\n'],
      ['usr', '40755', ''],
      ['usr/bin', '40755', ''],
      ['usr/bin/a', '100755', 'abcde'],
      ['usr/bin/b', '120777', 'a'],
      ['dev', '40755', ''],
      ['dev/console', '20600', ''],
    ]);
    expect(entries.at(-1)!.device).toEqual([5, 1]);
  });

  test('a path twice is a mistake', () => {
    const entry = { path: 'a', mode: S_IFREG, data: new Uint8Array() };
    expect(() => cpioArchive([entry, entry])).toThrow('two entries for a');
  });
});
