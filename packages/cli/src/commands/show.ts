import { Args, Command, Flags } from '@oclif/core';
import { isWirestreamError, WirestreamError } from '@wirestream/core/device/errors';
import { isInterfaceName } from '@wirestream/core/config/names';
import type { FlowSnapshot } from '@wirestream/core/userspace/snapshot';
import { ControlClient } from '../control/control.js';
import { controlSocket, runPaths } from '../control/paths.js';
import type { ShownDevice } from '../show/device.js';
import { formatFlow } from '../show/flows.js';
import { FIELDS, formatField } from '../show/fields.js';
import { devicesToJson } from '../show/json.js';
import { paintFor } from '../show/paint.js';
import { formatPretty } from '../show/pretty.js';
import { listDevices, readDevice } from '../show/source.js';

export default class Show extends Command {
  static override summary = 'Show tunnels, as wg show does, and their TCP connections.';
  static override description = `Takes what wg show takes: nothing or "all" for every tunnel, "interfaces" for their names, or the name of one; then a single field, or "dump", for programs. "flows" lists what goes through tunnels without an interface.

WG_COLOR_MODE=always|never|auto chooses colours, WG_HIDE_KEYS=never prints secret keys.`;
  static override examples = [
    '<%= config.bin %> show',
    '<%= config.bin %> show wg0 latest-handshakes',
    '<%= config.bin %> show all dump',
    '<%= config.bin %> show wg0 --json',
  ];
  static override args = {
    interface: Args.string({
      description: 'an interface, "all" (the default), "interfaces" for the names, or "flows"',
    }),
    field: Args.string({ description: 'print only this', options: [...FIELDS, 'flows'] }),
  };
  static override flags = {
    json: Flags.boolean({ description: "print JSON with wg-json's names; secret keys are not hidden" }),
  };

  async run(): Promise<void> {
    const { args, flags } = await this.parse(Show);
    const field = args.field as (typeof FIELDS)[number] | undefined;
    const which = args.interface ?? 'all';
    if (flags.json && args.field !== 'flows' && (field !== undefined || which === 'interfaces')) {
      throw new WirestreamError('usage', '--json prints everything; leave the field away');
    }
    if (which === 'flows' || args.field === 'flows') {
      await this.#flows(which === 'flows' ? await listDevices(runPaths()) : [which], flags.json);
      return;
    }
    if (which === 'interfaces') {
      if (field !== undefined) throw new WirestreamError('usage', 'there are no fields of "interfaces"');
      const names = await listDevices(runPaths());
      if (names.length > 0) this.log(names.join(' '));
      return;
    }
    const devices = which === 'all' ? await this.#all() : [await this.#one(which)];
    if (flags.json) {
      this.log(JSON.stringify(devicesToJson(devices), null, 2));
    } else if (field !== undefined) {
      process.stdout.write(devices.map((shown) => formatField(shown, field, which === 'all')).join(''));
    } else {
      const options = {
        paint: paintFor(process.env['WG_COLOR_MODE'], process.stdout.isTTY),
        showSecrets: process.env['WG_HIDE_KEYS'] === 'never',
        now: Date.now(),
      };
      process.stdout.write(devices.map((shown) => formatPretty(shown, options)).join('\n'));
    }
  }

  /** The flows of tunnels with a user-space stack; others have none. */
  async #flows(names: readonly string[], json: boolean): Promise<void> {
    const all: Record<string, FlowSnapshot[]> = {};
    for (const name of names) {
      if (!isInterfaceName(name)) throw new WirestreamError('usage', `'${name}' is not the name of an interface`);
      const client = await ControlClient.open(controlSocket(runPaths(), name)).catch(() => null);
      if (client === null && names.length === 1) throw new WirestreamError('no-tunnel', `there is no tunnel ${name}`);
      all[name] = (await client?.flows()) ?? [];
      client?.close();
    }
    if (json) return this.log(JSON.stringify(all, null, 2));
    for (const [name, flows] of Object.entries(all)) {
      for (const flow of flows) this.log(formatFlow(name, flow));
    }
  }

  async #one(name: string): Promise<ShownDevice> {
    if (!isInterfaceName(name)) {
      throw new WirestreamError('usage', `'${name}' is not the name of an interface`);
    }
    return readDevice(name, runPaths());
  }

  /** One that cannot be read does not keep the others from being shown. */
  async #all(): Promise<ShownDevice[]> {
    const devices: ShownDevice[] = [];
    const failures: unknown[] = [];
    for (const name of await listDevices(runPaths())) {
      try {
        devices.push(await readDevice(name, runPaths()));
      } catch (error) {
        failures.push(error);
      }
    }
    if (devices.length === 0 && failures.length > 0) throw failures[0];
    for (const error of failures) {
      if (!isWirestreamError(error)) throw error;
      this.logToStderr(`wirestream: ${error.message}`);
    }
    return devices;
  }
}
