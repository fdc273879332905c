import { mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { InterfaceConfig } from '@wirestream/core/config/config';
import { WirestreamError } from '@wirestream/core/device/errors';
import { decode, encode } from '../control/control.js';
import { makePrivateDir, stateFile, type RunPaths } from '../control/paths.js';

/** A command that takes back something that was set up. */
export interface UndoStep {
  readonly argv: readonly string[];
  readonly input?: string;
}

/** What was done to bring a tunnel up, so that all of it can be undone, by another process and after a crash. */
export interface TunnelState {
  readonly name: string;
  /** the configuration file, absolute */
  readonly configPath: string;
  /** of the process that has the tunnel */
  readonly pid: number;
  /** when that process began, as its system has it: another one may get the same number later */
  readonly started: string;
  /** all of the file's [Interface] but the secret */
  readonly iface: Omit<InterfaceConfig, 'privateKey'>;
  /** in the order in which things were done */
  readonly undo: readonly UndoStep[];
}

/** Keeps a TunnelState on disk, one step ahead of what it describes. */
export class Journal {
  #state: TunnelState;

  constructor(
    private readonly paths: RunPaths,
    state: TunnelState,
  ) {
    this.#state = state;
    this.#write();
  }

  get state(): TunnelState {
    return this.#state;
  }

  /** To be called before what `step` undoes is done: better to undo too much than too little. */
  add(step: UndoStep): void {
    this.#state = { ...this.#state, undo: [...this.#state.undo, step] };
    this.#write();
  }

  #write(): void {
    const path = stateFile(this.paths, this.#state.name);
    makePrivateDir(path);
    writeAtomically(path, `${encode(this.#state)}\n`);
  }
}

/** The state of a tunnel that was brought up and not taken down; null when there is none. */
export function readState(paths: RunPaths, name: string): TunnelState | null {
  const path = stateFile(paths, name);
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'EACCES') return null;
    throw error;
  }
  try {
    return decode(text) as TunnelState;
  } catch {
    throw new WirestreamError('bad-state', `${path}: damaged`, 'remove it, and by hand what was set up for the tunnel');
  }
}

export function removeState(paths: RunPaths, name: string): void {
  rmSync(stateFile(paths, name), { force: true });
}

/** A reader sees either the old file or the new one, whole; only its owner can read it. */
export function writeAtomically(path: string, text: string): void {
  const dir = mkdtempSync(join(dirname(path), '.new-'));
  try {
    writeFileSync(join(dir, 'file'), text, { mode: 0o600 });
    renameSync(join(dir, 'file'), path);
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

/** When a process began; null when there is none of that number, or it is a zombie. */
export function processStart(pid: number): string | null {
  try {
    // The name in parentheses may hold spaces and parentheses itself; state is field 3, starttime field 22 (proc(5)).
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return fields[0] === 'Z' || fields[0] === 'X' ? null : fields[19]!;
  } catch {
    return withoutProc(pid);
  }
}

/** Where there is no /proc, that a process of that number is there must do. */
function withoutProc(pid: number): string | null {
  try {
    process.kill(pid, 0);
    return 'unknown';
  } catch {
    return null;
  }
}

export function isRunning(state: TunnelState): boolean {
  return processStart(state.pid) === state.started;
}
