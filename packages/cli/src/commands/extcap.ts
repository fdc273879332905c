import { Command } from '@oclif/core';
import { extcapConfig, extcapDlts, extcapInterfaces, parseExtcap } from '../capture/extcap.js';
import { probeSocket } from '../control/socket.js';
import { controlSocket, runPaths } from '../control/paths.js';
import { listDevices } from '../show/source.js';
import Capture from './capture.js';

export default class Extcap extends Command {
  static override hidden = true;
  static override strict = false;
  static override summary = 'What Wireshark starts; see capture --install-extcap.';

  async run(): Promise<void> {
    const request = parseExtcap(this.argv);
    if (request.ask === 'capture') await Capture.run([...request.argv], this.config);
    else if (request.ask === 'dlts') this.#say(extcapDlts());
    else if (request.ask === 'config') this.#say(extcapConfig(request.interface));
    else if (request.ask === 'interfaces') this.#say(extcapInterfaces(this.config.version, await tunnels()));
  }

  #say(lines: readonly string[]): void {
    for (const line of lines) this.log(line);
  }
}

/** Those of ours that can be asked from here. */
async function tunnels(): Promise<string[]> {
  const paths = runPaths();
  const names = await listDevices(paths);
  const states = await Promise.all(
    names.map(async (name) => probeSocket(controlSocket(paths, name)).catch(() => 'none')),
  );
  return names.filter((_, i) => states[i] === 'live');
}
