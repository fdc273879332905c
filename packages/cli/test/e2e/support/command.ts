import { spawn, type ChildProcessWithoutNullStreams } from 'node:child_process';

/** How a program ended, with all that it said. */
export interface Result {
  readonly argv: readonly string[];
  /** null when a signal ended it */
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  readonly input?: string;
  /** added to the environment; undefined takes a variable away */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** ms until the program is killed and the run counts as failed */
  readonly deadline?: number;
}

/** Long enough for anything that is not meant to take time, on a busy machine. */
const DEADLINE = 20_000;

/** A running program whose output is kept. */
export class Child {
  stdout = '';
  stderr = '';
  /** its end, output read to the last byte; never rejects but when the program cannot be started */
  readonly ended: Promise<Result>;
  readonly #process: ChildProcessWithoutNullStreams;
  readonly #watchers = new Set<() => void>();

  constructor(
    readonly argv: readonly string[],
    options: RunOptions = {},
  ) {
    const [program, ...args] = argv as [string, ...string[]];
    const env: NodeJS.ProcessEnv = { ...process.env, LC_ALL: 'C', ...options.env };
    for (const [name, value] of Object.entries(env)) if (value === undefined) delete env[name];
    const child = (this.#process = spawn(program, args, { env, stdio: 'pipe' }));
    child.stdout.setEncoding('utf8').on('data', (text: string) => this.#heard(() => (this.stdout += text)));
    child.stderr.setEncoding('utf8').on('data', (text: string) => this.#heard(() => (this.stderr += text)));
    child.stdin.on('error', () => undefined);
    if (options.input !== undefined) child.stdin.end(options.input);
    this.ended = new Promise((resolve, reject) => {
      child.once('error', reject);
      child.once('close', (code, signal) => {
        resolve({ argv, code, signal, stdout: this.stdout, stderr: this.stderr });
        this.#heard(() => undefined);
      });
    });
    this.ended.catch(() => undefined);
  }

  get pid(): number {
    return this.#process.pid!;
  }

  get running(): boolean {
    return this.#process.exitCode === null && this.#process.signalCode === null;
  }

  write(text: string): void {
    this.#process.stdin.write(text);
  }

  signal(signal: NodeJS.Signals): void {
    this.#process.kill(signal);
  }

  /** Waits until its output matches. Rejects when it ends before, or after `deadline` ms. */
  async says(pattern: RegExp, deadline = DEADLINE): Promise<RegExpExecArray> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => done(new Error(`${this.#title} did not say ${pattern}: ${this.#said}`)), deadline);
      const look = (): void => {
        const match = pattern.exec(this.stdout) ?? pattern.exec(this.stderr);
        if (match !== null) done(match);
        else if (!this.running) done(new Error(`${this.#title} ended without saying ${pattern}: ${this.#said}`));
      };
      const done = (outcome: RegExpExecArray | Error): void => {
        clearTimeout(timer);
        this.#watchers.delete(look);
        if (outcome instanceof Error) reject(outcome);
        else resolve(outcome);
      };
      this.#watchers.add(look);
      look();
    });
  }

  /** Ends it, and waits for its end. */
  async stop(signal: NodeJS.Signals = 'SIGTERM', deadline = DEADLINE): Promise<Result> {
    if (this.running) this.#process.kill(signal);
    const timer = setTimeout(() => this.#process.kill('SIGKILL'), deadline);
    try {
      return await this.ended;
    } finally {
      clearTimeout(timer);
    }
  }

  /** Closes our ends of its pipes: a program that left others behind with them does not hold us up. */
  abandon(): void {
    this.#process.kill('SIGKILL');
    this.#process.stdout.destroy();
    this.#process.stderr.destroy();
  }

  get #title(): string {
    return this.argv.join(' ');
  }

  get #said(): string {
    return JSON.stringify((this.stdout + this.stderr).slice(-2000));
  }

  #heard(change: () => void): void {
    change();
    for (const watcher of this.#watchers) watcher();
  }
}

/** Runs a program to its end, whatever its exit code. Rejects when it is still at it at the deadline. */
export async function run(argv: readonly string[], options: RunOptions = {}): Promise<Result> {
  const child = new Child(argv, { input: '', ...options });
  const deadline = options.deadline ?? DEADLINE;
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      const state = child.running ? 'still runs' : 'has ended, but something it started holds its output open,';
      reject(new Error(`${argv.join(' ')} ${state} after ${deadline} ms; it said: ${child.stdout}${child.stderr}`));
      child.abandon();
    }, deadline);
  });
  try {
    return await Promise.race([child.ended, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Runs a program that has to succeed. @returns what it printed */
export async function must(argv: readonly string[], options: RunOptions = {}): Promise<string> {
  const { code, signal, stdout, stderr } = await run(argv, options);
  if (code === 0) return stdout;
  throw new Error(`${argv.join(' ')}: ${signal ?? `exit code ${code}`}\n${stdout}${stderr}`);
}
