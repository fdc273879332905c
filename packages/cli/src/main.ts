import { flush, run } from '@oclif/core';
import { report } from './report.js';

/**
 * Runs one command line. Every error ends here, as one line for people.
 * @param argv what follows the program's name
 * @param url of the file that was run, from which oclif finds the package
 */
export async function main(argv: string[], url: string): Promise<void> {
  swallowEpipe(process.stdout);
  swallowEpipe(process.stderr);
  try {
    await run(argv[0] === 'help' ? [...argv.slice(1), '--help'] : argv, url);
    await flush();
  } catch (error) {
    process.exitCode = report(error);
    await flush().catch(() => undefined);
  }
}

/** A reader that has seen enough (`| head`) is no error: what else is written goes nowhere. */
function swallowEpipe(stream: NodeJS.WriteStream): void {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
    process.exit();
  });
}
