import { Command } from '@oclif/core';
import { formatKey } from '@wirestream/core/config/key';
import { randomKey, warnIfReadable } from '../keys.js';

export default class Genpsk extends Command {
  static override summary = 'Make a new preshared key and print it.';
  static override examples = ['(umask 077; <%= config.bin %> genpsk > preshared.key)'];

  async run(): Promise<void> {
    await this.parse(Genpsk);
    warnIfReadable();
    this.log(formatKey(randomKey()));
  }
}
