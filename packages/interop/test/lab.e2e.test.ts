import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { accessSync, constants, existsSync, mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';

/** Runs that need no virtual machine: with the stand-in, and with this machine's kernel. */

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

/** Runs the lab with its temporary files in a folder. */
function lab(folder: string, ...args: string[]): ChildProcess {
  const options = [...args, '--results', join(folder, 'results')];
  const script =
    `import(${JSON.stringify(MAIN)}).then(async ({ interop, readOptions }) => ` +
    `interop(readOptions(${JSON.stringify(options)}, '/'), ${JSON.stringify(PACKAGES)}, console.log)).then((code) => (process.exitCode = code))`;
  return spawn(process.execPath, ['-e', script], {
    env: { ...process.env, TMPDIR: folder },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
}

interface Ended {
  /** standard output and error, as they came */
  readonly text: string;
  readonly code: number | null;
}

/** When the last process that could write to its output is gone. */
async function end(child: ChildProcess): Promise<Ended> {
  let text = '';
  for (const stream of [child.stdout!, child.stderr!]) stream.on('data', (chunk) => (text += String(chunk)));
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve));
  return { text, code };
}

const pause = async (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 50));

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'interop-lab-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

(canRun ? describe : describe.skip)('a run that is stopped', () => {
  /** @returns what came of it, and the processes that are left of it */
  async function stopped(signal: NodeJS.Signals): Promise<Ended & { left: number[] }> {
    // By itself it would go on for more than two minutes.
    const child = lab(folder, '--stand-in', '--only', 'udp v4: rekey begun by us');
    const ended = end(child);
    const ofIt = (): number[] => processesWith(`TMPDIR=${folder}`);
    while (ofIt().length <= 5 && child.exitCode === null) await pause();
    expect(child.exitCode).toBeNull();
    child.kill(signal);
    const deadline = Date.now() + 40_000;
    while (ofIt().length > 0 && Date.now() < deadline) await pause();
    const left = ofIt();
    for (const pid of left) process.kill(pid, 'SIGKILL');
    return { ...(await ended), left };
  }

  test('by Ctrl-C: it says so, and leaves no process and no file', async () => {
    const { text, code, left } = await stopped('SIGINT');
    expect(text).toMatch(/\n0 passed, 0 failed, 1 skipped\n$/);
    expect(text).toContain('rekey begun by us: interrupted');
    expect(code).toBe(130);
    expect(left).toEqual([]);
    expect(readdirSync(folder)).toEqual(['results']);
  }, 60_000);

  test('by a kill: it leaves no process', async () => {
    expect((await stopped('SIGKILL')).left).toEqual([]);
  }, 60_000);
});

(canRun ? describe : describe.skip)('--host-kernel', () => {
  const hasWireGuard =
    canRun && spawnSync('unshare', ['-n', 'ip', 'link', 'add', 'wgtry', 'type', 'wireguard']).status === 0;

  const scenariosRun = async (): Promise<void> => {
    const { text, code } = await end(lab(folder, '--host-kernel', '--only', 'udp v4 no psk: we dial'));
    expect(text).toMatch(/\nPASS {2}udp v4 no psk: we dial/);
    expect(code).toBe(0);
  };
  const tells = async (): Promise<void> => {
    const { text, code } = await end(lab(folder, '--host-kernel'));
    expect(text).toContain("this machine's kernel cannot make WireGuard interfaces (ip link add type wireguard: ");
    expect(text).toContain('modprobe wireguard');
    expect(text).toMatch(/\n0 passed, 1 failed, 0 skipped\n$/);
    expect(code).toBe(1);
  };

  if (hasWireGuard) test('scenarios run against the kernel of this machine', scenariosRun, 90_000);
  else test('a kernel without WireGuard is told so at once, and what to do', tells, 60_000);
});
