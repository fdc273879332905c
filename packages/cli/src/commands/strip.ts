import { Args, Command } from '@oclif/core';
import { emptyInterface } from '@wirestream/core/config/config';
import { formatConfig } from '@wirestream/core/config/write';
import { findConfig, loadConfig } from '../config/load.js';

export default class Strip extends Command {
  static override summary =
    'Print a configuration file without what only up and wg-quick know, for setconf and its like.';
  static override examples = ['<%= config.bin %> strip wg0 | <%= config.bin %> syncconf wg0 /dev/stdin'];
  static override args = {
    config: Args.string({ required: true, description: 'what is given to up: an interface, or a file NAME.conf' }),
  };

  async run(): Promise<void> {
    const { args } = await this.parse(Strip);
    const { config, warnings } = loadConfig(findConfig(args.config).path, false);
    for (const warning of warnings) process.stderr.write(`warning: ${warning}\n`);
    const { privateKey, listenPort, fwmark, transport } = config.interface;
    process.stdout.write(
      formatConfig({
        interface: {
          ...(privateKey === undefined ? {} : { privateKey }),
          ...(listenPort === undefined ? {} : { listenPort }),
          ...(fwmark === undefined ? {} : { fwmark }),
          ...(transport === undefined ? {} : { transport }),
          ...emptyInterface(),
        },
        peers: config.peers,
      }),
    );
  }
}
