import { resolve } from 'node:path';
import { Args, Command, Flags } from '@oclif/core';
import { WirestreamError } from '@wirestream/core/device/errors';
import { parseForward, parseRemoteForward } from '@wirestream/core/userspace/forward';
import { parseAllow } from '@wirestream/core/userspace/rules';
import { findConfig, loadConfig } from '../config/load.js';
import { systemResolver } from '../config/resolve.js';
import { runPaths } from '../control/paths.js';
import { ForegroundTunnel } from '../daemon/foreground.js';
import { chooseDriver } from '../daemon/choose.js';
import { DRIVERS } from '../daemon/host.js';
import { DaemonProcess } from '../daemon/launch.js';
import { bringUp, type Carrier, type UpJob } from '../daemon/up.js';
import { onInterrupt } from '../interrupt.js';
import { SystemShell } from '../network/shell.js';

export default class Up extends Command {
  static override summary = 'Bring a tunnel up, as wg-quick up does.';
  static override description = `Reads a wg-quick file, with Transport = tcp or udp in [Interface] or [Peer]; makes the interface, sets addresses, MTU, name servers and routes, and goes to the background when all of it is done.

Without the privileges for that, or with --rootless, the whole tunnel runs in user space: --forward and --remote-forward lead in and out of it, and --allow says what peers may reach from here.

Sockets and state are in /var/run/wireguard and /var/run/wirestream; without root in $XDG_RUNTIME_DIR/wirestream; WIRESTREAM_RUN_DIR puts them elsewhere.`;
  static override examples = [
    '<%= config.bin %> up wg0',
    '<%= config.bin %> up ./office.conf --foreground',
    '<%= config.bin %> up ./office.conf --rootless --forward 127.0.0.1:8080=10.0.0.1:80',
  ];
  static override args = {
    config: Args.string({
      required: true,
      description: 'an interface, whose file is /etc/wireguard/NAME.conf, or a file NAME.conf',
    }),
  };
  static override flags = {
    foreground: Flags.boolean({ char: 'f', description: 'stay, and tell what happens; Ctrl-C takes the tunnel down' }),
    driver: Flags.option({
      options: DRIVERS,
      description: 'linux: an interface; portable: everything in user space. By default the first where it can be had',
    })(),
    rootless: Flags.boolean({
      exclusive: ['driver'],
      description: 'no interface, no routes, no privileges: everything in user space, as --driver portable',
    }),
    allow: Flags.string({
      multiple: true,
      helpValue: 'ADDRESS:PORTS',
      description: 'rootless: what peers may reach from here, as 127.0.0.1:8080, 10.0.0.0/8:* or [fd00::/8]:443',
    }),
    exit: Flags.boolean({ description: 'rootless: peers may reach everything from here' }),
    forward: Flags.string({
      multiple: true,
      helpValue: 'LISTEN=DEST',
      description: 'rootless: a port of this host that leads into the tunnel, as 127.0.0.1:8080=10.0.0.2:80',
    }),
    'remote-forward': Flags.string({
      multiple: true,
      helpValue: 'PORT=DEST',
      description: 'rootless: a port of our tunnel addresses that leads to a service, as 80=127.0.0.1:8080',
    }),
    offload: Flags.boolean({
      default: true,
      allowNo: true,
      description: 'let the kernel leave the cutting of large packets to us, where it can (linux driver)',
    }),
    'key-log': Flags.string({
      helpValue: 'FILE',
      description: 'append the session keys to a Wireshark key log: with it, whoever has a capture can read it',
    }),
  };

  async run(): Promise<void> {
    const { args, flags } = await this.parse(Up);
    const say = (line: string) => void process.stderr.write(`${line}\n`);
    const source = findConfig(args.config);
    const parsed = loadConfig(source.path);
    for (const warning of parsed.warnings) say(`warning: ${warning}`);
    const paths = runPaths();
    const { version } = this.config;
    const keyLog = flags['key-log'];
    const { driver, why } = chooseDriver(flags.rootless ? 'portable' : flags.driver);
    const rules = {
      allow: (flags.allow ?? []).map(parseAllow),
      exit: flags.exit,
      forwards: (flags.forward ?? []).map(parseForward),
      remoteForwards: (flags['remote-forward'] ?? []).map(parseRemoteForward),
    };
    if (
      driver !== 'portable' &&
      (rules.exit || [rules.allow, rules.forwards, rules.remoteForwards].some((list) => list.length > 0))
    ) {
      throw new WirestreamError('usage', 'a tunnel with an interface has routes instead of forwards', 'add --rootless');
    }
    if (why !== null) say(`rootless: the tunnel runs in user space, without an interface (${why})`);
    const user = driver === 'portable' ? { user: { addresses: parsed.config.interface.addresses, ...rules } } : {};
    const shell = new SystemShell(say);
    const interrupt = onInterrupt();
    const job = <C extends Carrier>(start: UpJob<C>['start']): UpJob<C> => ({
      source,
      parsed,
      paths,
      shell,
      resolver: systemResolver(say),
      interrupt,
      extra: { offload: flags.offload, ...user, ...(keyLog === undefined ? {} : { keyLogFile: resolve(keyLog) }) },
      start,
    });
    if (flags.foreground) {
      const tunnel = await bringUp(job(async (options) => ForegroundTunnel.start(driver, options, paths, version)));
      say(`${source.name} is up; Ctrl-C takes it down`);
      await tunnel.stay(shell, interrupt);
      // The engine may leave handles behind that mean nothing any more.
      this.exit(0);
    }
    const daemon = await bringUp(job(async (host) => DaemonProcess.start({ driver, host, paths, version })));
    await daemon.keep();
  }
}
