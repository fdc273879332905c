import { spawn } from 'node:child_process';
import { accessSync, constants, existsSync, mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';

/** What is left of a run that is stopped in the middle: nothing. With the stand-in, which needs no virtual machine. */

const MAIN = fileURLToPath(new URL('../dist/main.js', import.meta.url));
const PACKAGES = fileURLToPath(new URL('../../', import.meta.url));
const PROGRAMS = ['ip', 'ping', 'tcpdump', 'unshare', 'nsenter', 'ss'];

function isRunnable(program: string): boolean {
  return [...(process.env['PATH'] ?? '').split(':'), '/usr/sbin', '/sbin'].some((folder) => {
    try {
      accessSync(join(folder, program), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

const canRun =
  process.platform === 'linux' &&
  process.getuid?.() === 0 &&
  existsSync('/dev/net/tun') &&
  existsSync(MAIN) &&
  PROGRAMS.every(isRunnable);

/** Processes of which a word is in the environment. */
function processesWith(word: string): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((name) => {
      try {
        return readFileSync(`/proc/${name}/environ`, 'utf8').includes(word);
      } catch {
        return false;
      }
    })
    .map(Number);
}

(canRun ? describe : describe.skip)('a run that is stopped', () => {
  let folder: string;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'interop-stopped-'));
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  /** @returns what it printed, its exit code, and the processes that are left of it */
  async function stopped(signal: NodeJS.Signals): Promise<{ text: string; code: number | null; left: number[] }> {
    const args = ['--stand-in', '--only', 'udp v4: silence', '--results', join(folder, 'results')];
    const script =
      `import(${JSON.stringify(MAIN)}).then(async ({ interop, readOptions }) => ` +
      `interop(readOptions(${JSON.stringify(args)}, '/'), ${JSON.stringify(PACKAGES)}, console.log)).then((code) => (process.exitCode = code))`;
    const child = spawn(process.execPath, ['-e', script], {
      env: { ...process.env, TMPDIR: folder },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let text = '';
    const isUnderWay = (): boolean => processesWith(`TMPDIR=${folder}`).length > 5;
    child.stdout.on('data', (chunk) => (text += String(chunk)));
    const code = new Promise<number | null>((resolve) => child.once('close', resolve));
    while (!isUnderWay() && child.exitCode === null) await new Promise((resolve) => setTimeout(resolve, 50));
    expect(child.exitCode).toBeNull();
    child.kill(signal);
    // The output is closed when the last process that could write to it is gone.
    const exit = await code;
    const deadline = Date.now() + 20_000;
    while (processesWith(`TMPDIR=${folder}`).length > 0 && Date.now() < deadline) {
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    return { text, code: exit, left: processesWith(`TMPDIR=${folder}`) };
  }

  test('by Ctrl-C: it says so, and leaves no process and no file', async () => {
    const { text, code, left } = await stopped('SIGINT');
    expect(text).toMatch(/\n0 passed, 0 failed, 1 skipped\n$/);
    expect(text).toContain('silence, then a keepalive: interrupted');
    expect(code).toBe(130);
    expect(left).toEqual([]);
    expect(readdirSync(folder)).toEqual(['results']);
  }, 60_000);

  test('by a kill: it leaves no process', async () => {
    expect((await stopped('SIGKILL')).left).toEqual([]);
  }, 60_000);
});
