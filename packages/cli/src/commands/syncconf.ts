import type { Endpoint } from '@wirestream/core/address/endpoint';
import type { Config } from '@wirestream/core/config/config';
import type { DeviceSettings } from '@wirestream/core/device/settings';
import { difference } from '../config/apply.js';
import { FileCommand } from '../config/fileconf.js';
import { runPaths } from '../control/paths.js';
import { readDevice } from '../show/source.js';

export default class Syncconf extends FileCommand {
  static override summary = 'Make a running tunnel what a file says by the least change, as wg syncconf does.';
  static override description = `Like setconf, but peers and whatever else is as the file says already notice nothing. A file without ListenPort leaves the port.`;
  static override usage = 'syncconf <interface> <configuration filename>';
  static override examples = ['<%= config.bin %> strip wg0 | <%= config.bin %> syncconf wg0 /dev/stdin'];

  protected async change(
    name: string,
    config: Config,
    endpoints: readonly (Endpoint | null)[],
  ): Promise<DeviceSettings | null> {
    const { device } = await readDevice(name, runPaths());
    return difference(config, endpoints, device);
  }
}
