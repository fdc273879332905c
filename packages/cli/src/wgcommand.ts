import { Command } from '@oclif/core';
import { isInterfaceName } from '@wirestream/core/config/names';
import { show } from '@wirestream/core/config/keys';
import { WirestreamError } from '@wirestream/core/device/errors';

/**
 * A subcommand that takes exactly what the one of wg(8) of that name takes, and fails as that does: with 1 whatever was wrong.
 * Words go to it as they are, since some begin with a hyphen without being flags.
 */
export abstract class WgCommand extends Command {
  /**
   * The words, the first of which is an interface.
   * @param most how many there may be
   * @throws WirestreamError wrong-words
   */
  protected words(least: number, most: number): [name: string, ...rest: string[]] {
    this.parsed = true;
    const [name, ...rest] = this.argv;
    if (name === undefined || this.argv.length < least || this.argv.length > most) {
      throw new WirestreamError('wrong-words', `Usage: wirestream ${(this.ctor as typeof Command).usage as string}`);
    }
    if (!isInterfaceName(name)) {
      throw new WirestreamError('wrong-words', `'${show(name)}' is not the name of an interface`);
    }
    return [name, ...rest];
  }

  /** Tells people something that is no result. */
  protected say(line: string): void {
    process.stderr.write(`${line}\n`);
  }
}
