import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, realpathSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { type CpioEntry, S_IFLNK, S_IFREG } from './cpio.js';

/** Programs of this host for the guest, with the shared libraries that they need. */

/** Where a program is; undefined when it is not installed. */
export function findProgram(name: string): string | undefined {
  const folders = [...(process.env['PATH'] ?? '').split(delimiter), '/usr/sbin', '/sbin', '/usr/bin', '/bin'];
  return folders.map((folder) => join(folder, name)).find((file) => existsSync(file));
}

/** Paths in what ldd(1) prints. @throws Error when a library is missing */
export function parseLdd(text: string): string[] {
  return text.split('\n').flatMap((line) => {
    if (/=> not found/.test(line)) throw new Error(`a library is missing: ${line.trim()}`);
    const match = /(?:=>\s*|^\s*)(\/\S+)\s+\(0x/.exec(line);
    return match === null ? [] : [match[1]!];
  });
}

/** Entries for programs, under `usr/bin`, and for their libraries, where the loader looks for them. */
export function programEntries(programs: readonly { readonly name: string; readonly file: string }[]): CpioEntry[] {
  const entries = new Map<string, CpioEntry>();
  for (const { name, file } of programs) {
    entries.set(`usr/bin/${name}`, executable(`usr/bin/${name}`, file));
    for (const library of libraries(file)) {
      const path = library.replace(/^\/+/, '');
      if (!entries.has(path)) entries.set(path, executable(path, realpathSync(library)));
    }
  }
  return [...entries.values()];
}

/** Busybox and a link for each of its applets, under `bin`: after `usr/bin` in PATH, so that real programs win. */
export function busyboxEntries(file: string): CpioEntry[] {
  const applets = execFileSync(file, ['--list'], { encoding: 'utf8' }).split('\n').filter(Boolean);
  return [
    executable('bin/busybox', file),
    ...applets
      .filter((applet) => applet !== 'busybox')
      .map((applet) => ({ path: `bin/${applet}`, mode: S_IFLNK | 0o777, data: Buffer.from('busybox') })),
  ];
}

export function executable(path: string, file: string): CpioEntry {
  return { path, mode: S_IFREG | 0o755, data: readFileSync(file) };
}

function libraries(file: string): string[] {
  let text: string;
  try {
    text = execFileSync('ldd', [file], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
  } catch (error) {
    const said = `${(error as { stdout?: string }).stdout ?? ''}${(error as { stderr?: string }).stderr ?? ''}`;
    if (/not a dynamic executable|statically linked/.test(said)) return [];
    throw new Error(`ldd ${file}: ${said.trim()}`, { cause: error });
  }
  return parseLdd(text);
}
