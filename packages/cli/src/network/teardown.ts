import { isWirestreamError } from '@wirestream/core/device/errors';
import type { TunnelState } from './journal.js';
import type { Shell } from './shell.js';

/** Takes back what was set up, the last thing first. What cannot be taken back is said; the rest goes on. */
export async function undoNetwork(state: TunnelState, shell: Shell): Promise<void> {
  for (const { argv, input } of [...state.undo].reverse()) {
    await tolerate(shell, async () => shell.run(argv, input));
  }
}

/** Runs hooks, one after the other; one that fails does not keep the others from running. */
export async function runHooks(
  kind: 'PreDown' | 'PostDown',
  commands: readonly string[],
  state: TunnelState,
  shell: Shell,
): Promise<void> {
  for (const command of commands) await tolerate(shell, async () => shell.hook(kind, command, state.name));
}

async function tolerate(shell: Shell, action: () => Promise<void>): Promise<void> {
  try {
    await action();
  } catch (error) {
    if (!isWirestreamError(error)) throw error;
    shell.say(`warning: ${error.message}`);
  }
}
