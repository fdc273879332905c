import { WirestreamError } from '@wirestream/core/device/errors';
import type { Shell } from '../../src/network/shell.js';

/** A shell that runs nothing: it keeps what it was told, and answers what the test says. */
export class FakeShell implements Shell {
  readonly done: string[] = [];
  readonly inputs: string[] = [];
  readonly said: string[] = [];
  /** programs that are there */
  programs = ['nft', 'resolvconf', 'bash'];
  /** what queries print, by their text */
  answers: Record<string, string> = {};
  /** commands that fail: those that contain one of these */
  failing: string[] = [];

  async run(argv: readonly string[], input?: string): Promise<void> {
    const line = argv.join(' ');
    this.done.push(line);
    if (input !== undefined) this.inputs.push(input);
    await Promise.resolve();
    if (this.failing.some((part) => line.includes(part))) throw new WirestreamError('command-failed', `${line}: no`);
  }

  async query(argv: readonly string[]): Promise<string | null> {
    return Promise.resolve(this.answers[argv.join(' ')] ?? null);
  }

  async hook(kind: string, command: string, name: string): Promise<void> {
    return this.run([`${kind}:`, command.replaceAll('%i', name)]);
  }

  has(program: string): boolean {
    return this.programs.includes(program);
  }

  say(line: string): void {
    this.said.push(line);
  }
}
