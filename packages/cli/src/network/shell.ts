import { spawn } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';
import { WirestreamError } from '@wirestream/core/device/errors';

/** Runs other programs, and says so: each command appears as `[#] …`, as with wg-quick(8). */
export interface Shell {
  /** @throws WirestreamError command-missing, command-failed with what the program said */
  run(argv: readonly string[], input?: string): Promise<void>;
  /** What a program prints, which is not announced; null when it fails or is missing. */
  query(argv: readonly string[]): Promise<string | null>;
  /** Runs a line of PreUp and its like; `%i` becomes the interface's name. @throws WirestreamError hook-failed */
  hook(kind: string, command: string, name: string): Promise<void>;
  has(program: string): boolean;
  say(line: string): void;
}

/** The packages that have what we run, for those who lack it. */
const PACKAGES: Readonly<Record<string, string>> = { ip: 'iproute2', nft: 'nftables', resolvconf: 'openresolv' };

export class SystemShell implements Shell {
  readonly #say: (line: string) => void;

  /** @param say where the announcements go: standard error, usually */
  constructor(say: (line: string) => void) {
    this.#say = say;
  }

  say(line: string): void {
    this.#say(line);
  }

  async run(argv: readonly string[], input?: string): Promise<void> {
    this.#say(`[#] ${argv.join(' ')}`);
    const { code, stderr } = await execute(argv, input);
    if (code === 0) return;
    const reason = stderr.trim().split('\n')[0]!;
    throw new WirestreamError(
      'command-failed',
      `${argv.join(' ')}: ${reason === '' ? `exit code ${code}` : reason}`,
      /not permitted|denied/i.test(reason) ? 'run it as root' : undefined,
    );
  }

  async query(argv: readonly string[]): Promise<string | null> {
    try {
      const { code, stdout } = await execute(argv);
      return code === 0 ? stdout : null;
    } catch {
      return null;
    }
  }

  async hook(kind: string, command: string, name: string): Promise<void> {
    const line = command.replaceAll('%i', name);
    this.#say(`[#] ${line}`);
    // wg-quick(8) promises bash; where there is none, most lines will do with sh.
    const shell = this.has('bash') ? 'bash' : 'sh';
    const code = await new Promise<number | string | null>((resolve, reject) => {
      const child = spawn(shell, ['-c', line], { stdio: 'inherit' });
      child.once('error', reject);
      child.once('close', (exit, signal) => resolve(exit ?? signal));
    });
    if (code === 0) return;
    throw new WirestreamError(
      'hook-failed',
      `${kind} failed (${code}): ${line}`,
      `it is a ${kind} line of the configuration, run by ${shell}`,
    );
  }

  has(program: string): boolean {
    return (process.env['PATH'] ?? '').split(delimiter).some((dir) => {
      try {
        accessSync(join(dir === '' ? '.' : dir, program), constants.X_OK);
        return true;
      } catch {
        return false;
      }
    });
  }
}

interface Outcome {
  readonly code: number | string;
  readonly stdout: string;
  readonly stderr: string;
}

async function execute(argv: readonly string[], input = ''): Promise<Outcome> {
  const [program, ...args] = argv as [string, ...string[]];
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { stdio: ['pipe', 'pipe', 'pipe'] });
    let stdout = '';
    let stderr = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
    child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
    child.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOENT') return reject(error);
      const wanted = PACKAGES[program];
      const hint = wanted === undefined ? undefined : `install it (Debian: apt-get install ${wanted})`;
      reject(new WirestreamError('command-missing', `there is no program ${program} here`, hint));
    });
    child.once('close', (code, signal) => resolve({ code: code ?? signal ?? -1, stdout, stderr }));
    // A program that does not read what it is given says so by its exit code.
    child.stdin.on('error', () => undefined);
    child.stdin.end(input);
  });
}
