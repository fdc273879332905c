import { spawn, spawnSync } from 'node:child_process';

/** Runs a program to its end, at once. @returns what it printed. @throws Error with what it said on standard error */
export function must(argv, { input = '', env } = {}) {
  const [program, ...args] = argv;
  const { status, stdout, stderr, error } = spawnSync(program, args, {
    encoding: 'utf8',
    input,
    env: { ...process.env, ...env },
  });
  if (error) throw new Error(`${argv.join(' ')}: ${error.message}`);
  if (status !== 0) throw new Error(`${argv.join(' ')}: ${(stderr.trim() || stdout.trim()).split('\n')[0]}`);
  return stdout;
}

/** The same, with failure as an expected outcome: what it printed on both outputs, or null when there is no such program. */
export function attempt(argv) {
  const [program, ...args] = argv;
  const { status, stdout, stderr, error } = spawnSync(program, args, { encoding: 'utf8' });
  return error ? null : { status, text: `${stdout}${stderr}` };
}

/** A program that was started, and what it printed when it has ended. Ended by force after `deadline` ms. */
export function start(argv, { deadline, env, stdio = ['ignore', 'pipe', 'pipe'] } = {}) {
  const [program, ...args] = argv;
  const child = spawn(program, args, { stdio, env: { ...process.env, ...env } });
  let stdout = '';
  let stderr = '';
  child.stdout?.setEncoding('utf8').on('data', (text) => (stdout += text));
  child.stderr?.setEncoding('utf8').on('data', (text) => (stderr += text));
  const timer = deadline === undefined ? null : setTimeout(() => child.kill('SIGKILL'), deadline);
  const done = new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code, signal) => {
      if (timer !== null) clearTimeout(timer);
      resolve({ code, signal, stdout, stderr });
    });
  });
  return { child, done };
}

export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Asks until the answer is true. @throws Error when it is not within `deadline` ms */
export async function until(what, ask, deadline = 20_000) {
  const end = performance.now() + deadline;
  while (!(await ask())) {
    if (performance.now() > end) throw new Error(`gave up waiting for ${what}`);
    await sleep(50);
  }
}
