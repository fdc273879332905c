import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { isWirestreamError } from '@wirestream/core/device/errors';
import { Config, flush, run, type Command } from '@oclif/core';
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
    const [name, ...rest] = argv;
    const command = name === undefined || argv.some(isHelp) ? null : await commandNamed(name);
    if (command !== null) await command.run(rest, await configWithoutCommands());
    else await run(name === 'help' ? [...rest, '--help'] : argv, url);
    await flush();
  } catch (error) {
    process.exitCode = report(error);
    await flush().catch(() => undefined);
    // What was being waited for, such as a name server, must not keep anybody who has had enough.
    if (isWirestreamError(error) && error.code === 'interrupted') process.exit();
  }
}

/** A reader that has seen enough (`| head`) is no error: what else is written goes nowhere. */
function swallowEpipe(stream: NodeJS.WriteStream): void {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
    process.exit();
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
