import { Command } from '@oclif/core';
import { formatKey } from '@wirestream/core/config/key';
import { clamp } from '@wirestream/core/noise/identity';
import { randomKey, warnIfReadable } from '../keys.js';

export default class Genkey extends Command {
  static override summary = 'Make a new private key and print it.';
  static override examples = ['(umask 077; <%= config.bin %> genkey > private.key)'];

  async run(): Promise<void> {
    await this.parse(Genkey);
    warnIfReadable();
    this.log(formatKey(clamp(randomKey())));
  }
}
