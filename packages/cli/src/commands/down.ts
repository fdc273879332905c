import { Args, Command } from '@oclif/core';
import { findConfig } from '../config/load.js';
import { runPaths } from '../control/paths.js';
import { takeDown } from '../daemon/down.js';
import { SystemShell } from '../network/shell.js';

export default class Down extends Command {
  static override summary = 'Take a tunnel down, as wg-quick down does.';
  static override description = `Undoes what up did, and waits until nothing is left. Also cleans up after a tunnel whose process has died.`;
  static override examples = ['<%= config.bin %> down wg0', '<%= config.bin %> down ./office.conf'];
  static override args = {
    config: Args.string({ required: true, description: 'what was given to up: an interface, or a file NAME.conf' }),
  };

  async run(): Promise<void> {
    const { args } = await this.parse(Down);
    const shell = new SystemShell((line) => void process.stderr.write(`${line}\n`));
    await takeDown(findConfig(args.config).name, runPaths(), shell);
  }
}
