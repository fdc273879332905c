import { WirestreamError } from '@wirestream/core/device/errors';
import type { Shell } from './shell.js';

/** A shell that runs nothing more once the signal has been given: how Ctrl-C stops `up` between two steps. */
export function guarded(shell: Shell, signal: AbortSignal): Shell {
  const check = () => {
    if (signal.aborted) throw new WirestreamError('interrupted', 'interrupted');
  };
  return {
    run: async (argv, input) => {
      check();
      await shell.run(argv, input);
      check();
    },
    query: async (argv) => shell.query(argv),
    hook: async (kind, command, name) => {
      check();
      try {
        await shell.hook(kind, command, name);
      } finally {
        // Ctrl-C reaches what the hook runs as well; that it failed then is not what has to be told.
        check();
      }
    },
    has: (program) => shell.has(program),
    say: (line) => shell.say(line),
  };
}
