import { Command } from '@oclif/core';
import { formatKey } from '@wirestream/core/config/key';
import { publicKeyOf, readKey } from '../keys.js';

export default class Pubkey extends Command {
  static override summary = 'Read a private key from standard input and print its public key.';
  static override examples = ['<%= config.bin %> pubkey < private.key > public.key'];

  async run(): Promise<void> {
    await this.parse(Pubkey);
    this.log(formatKey(publicKeyOf(await readKey(process.stdin))));
  }
}
