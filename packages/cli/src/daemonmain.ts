import { readFileSync } from 'node:fs';
import { background, foreground, readContract } from './daemon/contract.js';
import { report } from './report.js';

/**
 * Runs `wirestream-daemon`.
 * @param argv what follows the program's name
 * @param program its file
 */
export async function daemonMain(argv: readonly string[], program: string): Promise<void> {
  const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as {
    version: string;
  };
  if (argv.length === 1 && argv[0] === '--version') {
    process.stdout.write(
      `wirestream-daemon v${version}\n\nUserspace WireGuard daemon, over UDP and TCP, on Node ${process.version}.\n`,
    );
    return;
  }
  try {
    const contract = readContract(argv, process.env);
    // The engine may leave handles behind that mean nothing any more.
    if (contract.foreground) process.exit(await foreground(contract, version));
    await background(contract, program);
  } catch (error) {
    process.exitCode = report(error);
  }
}
