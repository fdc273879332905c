import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/**
 * What a test made outside of its own process, and how it goes away again.
 *
 * Theory of operation. Whoever makes something adds how to undo it; `close` undoes all, the last first, whatever fails.
 * Should the test process die before that, a shell that was started at its side reads the end of its standard input and undoes
 * the rest: it has been told, line by line, what that takes. All names carry this process's number and are used once, so
 * undoing twice does no harm and never meets what is somebody else's.
 */
export class Scope {
  readonly #undo: (() => Promise<void> | void)[] = [];

  defer(undo: () => Promise<void> | void, afterDeath?: string): void {
    this.#undo.push(undo);
    if (afterDeath !== undefined) guard(afterDeath);
  }

  /** A directory for this scope's files, for its owner only. */
  directory(): string {
    const path = mkdtempSync(join(tmpdir(), `wst-${process.pid}-`));
    this.defer(() => rmSync(path, { recursive: true, force: true }), `rm -rf '${path}'`);
    return path;
  }

  async close(): Promise<void> {
    const failures: unknown[] = [];
    for (let undo = this.#undo.pop(); undo !== undefined; undo = this.#undo.pop()) {
      try {
        await undo();
      } catch (error) {
        failures.push(error);
      }
    }
    if (failures.length > 0) throw new AggregateError(failures, failures.map(String).join('\n'));
  }
}

let guardian: ChildProcess | undefined;

function guard(line: string): void {
  if (guardian === undefined) {
    const script = 'commands=$(cat); eval "$commands"';
    guardian = spawn('sh', ['-c', script], { detached: true, stdio: ['pipe', 'ignore', 'ignore'] });
    guardian.unref();
    // It is to outlive us, and must not keep us from ending.
    (guardian.stdin as unknown as { unref(): void }).unref();
    guardian.stdin!.on('error', () => undefined);
  }
  guardian.stdin!.write(`${line}\n`);
}

let used = 0;

/** A name for an interface that no other on this machine has: configuration sockets are shared by all namespaces. */
export function uniqueName(label = ''): string {
  return `w${process.pid.toString(36)}${label}${(used++).toString(36)}`;
}
