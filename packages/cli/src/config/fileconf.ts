import type { Endpoint } from '@wirestream/core/address/endpoint';
import type { Config } from '@wirestream/core/config/config';
import { WirestreamError } from '@wirestream/core/device/errors';
import { runPaths } from '../control/paths.js';
import { modifyDevice } from '../control/modify.js';
import type { DeviceSettings } from '@wirestream/core/device/settings';
import { WgCommand } from '../wgcommand.js';
import { loadConfig } from './load.js';
import { resolveEndpoints, systemResolver } from './resolve.js';

/** What `setconf`, `addconf` and `syncconf` have in common: a file, read as wg(8) reads it, that becomes a change. */
export abstract class FileCommand extends WgCommand {
  static override strict = false;

  async run(): Promise<void> {
    const [name, path] = this.words(2, 2);
    const parsed = loadConfig(path!, false);
    for (const warning of parsed.warnings) this.say(`warning: ${warning}`);
    refuseForWgQuick(parsed.config, path!);
    const endpoints = await resolveEndpoints(
      parsed,
      path!,
      systemResolver((line) => this.say(line)),
    );
    const settings = await this.change(name, parsed.config, endpoints);
    if (settings !== null) await modifyDevice(name, runPaths(), settings);
  }

  /** @returns null when there is nothing to change */
  protected abstract change(
    name: string,
    config: Config,
    endpoints: readonly (Endpoint | null)[],
  ): Promise<DeviceSettings | null>;
}

/** @throws WirestreamError config-unknown-key: addresses and the like are no matter of a device */
function refuseForWgQuick({ interface: iface }: Config, path: string): void {
  const found = [
    ['Address', iface.addresses.length > 0],
    ['DNS', iface.dns.length + iface.dnsSearch.length > 0],
    ['MTU', iface.mtu !== undefined],
    ['Table', iface.table !== undefined],
    ['PreUp', iface.preUp.length > 0],
    ['PostUp', iface.postUp.length > 0],
    ['PreDown', iface.preDown.length > 0],
    ['PostDown', iface.postDown.length > 0],
    ['SaveConfig', iface.saveConfig],
    ['SaveAnnounced', iface.saveAnnounced === true],
  ].find(([, there]) => there === true);
  if (found === undefined) return;
  throw new WirestreamError(
    'config-unknown-key',
    `${path}: ${String(found[0])} is for up and wg-quick, and cannot be changed on a running device`,
    `leave such lines out: wirestream strip ${path}`,
  );
}
