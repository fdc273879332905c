import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { isWirestreamError } from '@wirestream/core/device/errors';
import { Config, Errors, flush, run, type Command } from '@oclif/core';
import { fileError } from './decode/errors.js';
import { report } from './report.js';

/**
 * Runs one command line. Every error ends here, as one line for people.
 * @param argv what follows the program's name
 * @param url of the file that was run, from which oclif finds the package
 */
export async function main(argv: string[], url: string): Promise<void> {
  endsWith(process.stdout, 'standard output');
  endsWith(process.stderr, 'standard error');
  try {
    const [name, ...rest] = argv;
    const command = name === undefined || argv.some(isHelp) ? null : await commandNamed(name);
    if (command !== null) await command.run(rest, await configWithoutCommands());
    else await run(name === 'help' ? [...rest, '--help'] : argv, url);
    await flush();
  } catch (error) {
    process.exitCode = report(error);
    await flush().catch(() => undefined);
    // What was being waited for, such as a name server, must not keep anybody who has had enough; nor must what Node has left to do, when a command says that it is
    // over: seen to turn in circles for ever in its own clean-up, after a tunnel in user space.
    if ((isWirestreamError(error) && error.code === 'interrupted') || error instanceof Errors.ExitError) process.exit();
  }
}

/** Ends with a stream that cannot be written any more. A reader that has seen enough (`| head`) is no error, a full disk is. */
function endsWith(stream: NodeJS.WriteStream, name: string): void {
  // Before oclif's own, which throws.
  stream.prependListener('error', (error: NodeJS.ErrnoException) => {
    process.exit(error.code === 'EPIPE' ? undefined : report(fileError(error, name)));
  });
}

const isHelp = (word: string) => word === '--help' || word === '-h';

/**
 * The command in the file of that name; null when there is none. oclif would load all commands to find one, which takes longer than most
 * of them run; it does so where it has to know them: for help, and for names that are none.
 */
async function commandNamed(name: string): Promise<Command.Class | null> {
  if (!/^[a-z]+$/.test(name)) return null;
  const file = new URL(`./commands/${name}.js`, import.meta.url);
  if (!existsSync(file)) return null;
  const { default: command } = (await import(file.href)) as { default: Command.Class };
  command.id = name;
  return command;
}

async function configWithoutCommands(): Promise<Config> {
  const root = fileURLToPath(new URL('..', import.meta.url));
  const pjson = JSON.parse(readFileSync(`${root}/package.json`, 'utf8')) as Config['pjson'];
  const { commands: _, ...oclif } = pjson.oclif;
  return Config.load({ root, pjson: { ...pjson, oclif } });
}
