import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { describe } from '@jest/globals';

/** Whether the long versions of tests are wanted (`npm run test:long`). */
export const LONG = process.env['WIRESTREAM_LONG'] === '1';

/** What every test on real interfaces needs. */
const ALWAYS = ['ip', 'ping', 'ss', 'sysctl'];

export function hasProgram(name: string): boolean {
  const folders = [...(process.env['PATH'] ?? '').split(delimiter), '/usr/sbin', '/sbin'];
  return folders.some((folder) => existsSync(join(folder, name)));
}

/** Why tests on real interfaces cannot run here; null when they can. */
export function obstacle(programs: readonly string[] = []): string | null {
  if (process.platform !== 'linux') return 'needs Linux';
  if (process.getuid?.() !== 0) return 'needs root';
  if (!existsSync('/dev/net/tun')) return 'needs /dev/net/tun';
  const missing = [...ALWAYS, ...programs].filter((program) => !hasProgram(program));
  return missing.length > 0 ? `needs ${missing.join(', ')}` : null;
}

/** A suite on real interfaces; skipped, and its name says why, where it cannot run. */
export function describeReal(name: string, programs: readonly string[], suite: () => void): void {
  const reason = obstacle(programs);
  if (reason === null) describe(name, suite);
  else describe.skip(`${name} (SKIPPED: ${reason})`, suite);
}
