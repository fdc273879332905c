import type { Endpoint } from '@wirestream/core/address/endpoint';
import type { Config } from '@wirestream/core/config/config';
import type { DeviceSettings } from '@wirestream/core/device/settings';
import { replacement } from '../config/apply.js';
import { FileCommand } from '../config/fileconf.js';
import { runPaths } from '../control/paths.js';
import { readDevice } from '../show/source.js';

export default class Setconf extends FileCommand {
  static override summary = 'Make a running tunnel what a file says, as wg setconf does.';
  static override description = `All peers are replaced, and what the file does not mention goes back to what it is without. The file is as showconf prints it: without the lines that only up and wg-quick know.`;
  static override usage = 'setconf <interface> <configuration filename>';
  static override examples = [
    '<%= config.bin %> setconf wg0 peers.conf',
    '<%= config.bin %> strip wg0 | <%= config.bin %> setconf wg0 /dev/stdin',
  ];

  protected async change(
    name: string,
    config: Config,
    endpoints: readonly (Endpoint | null)[],
  ): Promise<DeviceSettings> {
    const { device } = await readDevice(name, runPaths());
    return replacement(config, endpoints, device);
  }
}
