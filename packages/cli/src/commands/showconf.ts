import { formatShowconf } from '../config/showconf.js';
import { runPaths } from '../control/paths.js';
import { readDevice } from '../show/source.js';
import { WgCommand } from '../wgcommand.js';

export default class Showconf extends WgCommand {
  static override summary = 'Print a running tunnel as a file for setconf, as wg showconf does.';
  static override description = `Secret keys are printed. Where TCP is in use there are Transport lines, which wg itself does not take; everything else is what wg showconf prints.`;
  static override usage = 'showconf <interface>';
  static override examples = ['<%= config.bin %> showconf wg0 > wg0.conf'];
  static override strict = false;

  async run(): Promise<void> {
    const [name] = this.words(1, 1);
    process.stdout.write(formatShowconf(await readDevice(name, runPaths())));
  }
}
