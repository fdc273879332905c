import { readKeyFile } from '../config/keyfile.js';
import { resolveEndpoint, systemResolver } from '../config/resolve.js';
import { settingsOfWords } from '../config/words.js';
import { modifyDevice } from '../control/modify.js';
import { runPaths } from '../control/paths.js';
import { WgCommand } from '../wgcommand.js';

export default class Set extends WgCommand {
  static override summary = 'Change a running tunnel, as wg set does.';
  static override description = `Takes what wg set takes, and transport: before the first peer for all peers that have none of their own, behind a peer for that one. Only what is given is changed; what needs not be dropped stays.

Keys are read from files; /dev/stdin is one, and an empty one, such as /dev/null, takes the key away. allowed-ips is the whole new list; an entry with + or - before it adds to or takes from the list that there is.`;
  static override usage =
    'set <interface> [listen-port <port>] [fwmark <mark>] [private-key <file>] [transport tcp|udp] [peer <base64 public key> [remove] [preshared-key <file>] [endpoint <ip>:<port>] [persistent-keepalive <seconds>|off] [allowed-ips [+|-]<ip1>/<cidr1>[,[+|-]<ip2>/<cidr2>]...] [transport tcp|udp|default]]...';
  static override examples = [
    '<%= config.bin %> set wg0 listen-port 443 transport tcp',
    '<%= config.bin %> set wg0 peer ABCDEF... endpoint 192.0.2.7:443 allowed-ips +10.9.0.0/16',
    '<%= config.bin %> set wg0 peer ABCDEF... remove',
  ];
  static override strict = false;

  async run(): Promise<void> {
    const [name, ...words] = this.words(2, Infinity);
    const resolver = systemResolver((line) => this.say(line));
    const settings = await settingsOfWords(words, {
      readKeyFile: (path) => readKeyFile(path, (line) => this.say(line)),
      resolve: async (endpoint) => resolveEndpoint(endpoint, `set ${name}`, resolver),
    });
    await modifyDevice(name, runPaths(), settings);
  }
}
