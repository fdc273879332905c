import { spawn } from 'node:child_process';
import type { Output } from '../vm/agent.js';

/** Where commands of one side run: the guest, or a network namespace of this host. */
export interface Shell {
  /** @param limit seconds */
  run(script: string, limit: number): Promise<Output>;
}

/** A process in whose network namespace commands run. */
export class NamespaceShell implements Shell {
  /** @param pid whose network namespace it is; null for this process's own */
  constructor(
    private readonly pid: number | null,
    private readonly env: NodeJS.ProcessEnv = process.env,
  ) {}

  async run(script: string, limit: number): Promise<Output> {
    const enter = this.pid === null ? [] : ['nsenter', '-t', `${this.pid}`, '-n'];
    const [program, ...args] = [...enter, 'sh', '-c', script];
    return runProgram(program!, args, limit, this.env);
  }
}

/** Runs a program to its end, or to the limit's. Programs that it leaves in the background must not keep its output open. */
export async function runProgram(
  program: string,
  args: readonly string[],
  limit: number,
  env: NodeJS.ProcessEnv = process.env,
): Promise<Output> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'], env });
    const chunks: Buffer[] = [];
    const timer = setTimeout(() => child.kill('SIGKILL'), limit * 1000);
    child.stdout.on('data', (chunk: Buffer) => chunks.push(chunk));
    child.stderr.on('data', (chunk: Buffer) => chunks.push(chunk));
    child.once('error', (error) => {
      clearTimeout(timer);
      reject(error);
    });
    child.once('close', (code) => {
      clearTimeout(timer);
      resolve({ status: code ?? 137, bytes: Buffer.concat(chunks) });
    });
  });
}
