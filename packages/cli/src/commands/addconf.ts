import type { Endpoint } from '@wirestream/core/address/endpoint';
import type { Config } from '@wirestream/core/config/config';
import type { DeviceSettings } from '@wirestream/core/device/settings';
import { addition } from '../config/apply.js';
import { FileCommand } from '../config/fileconf.js';

export default class Addconf extends FileCommand {
  static override summary = 'Add what a file says to a running tunnel, as wg addconf does.';
  static override description = `What the file does not mention stays; a peer that is there already gets the file's allowed IPs instead of its own.`;
  static override usage = 'addconf <interface> <configuration filename>';
  static override examples = ['<%= config.bin %> addconf wg0 more-peers.conf'];

  protected async change(_: string, config: Config, endpoints: readonly (Endpoint | null)[]): Promise<DeviceSettings> {
    return Promise.resolve(addition(config, endpoints));
  }
}
