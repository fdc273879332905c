import { resolve } from 'node:path';
import { Args, Command, Flags } from '@oclif/core';
import { WirestreamError } from '@wirestream/core/device/errors';
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
import { ROOTLESS_FLAGS, rootlessFlagIn, userOptions } from '../rootless/flags.js';

export default class Up extends Command {
  static override summary = 'Bring a tunnel up, as wg-quick up does.';
  static override description = `Reads a wg-quick file, with Transport = tcp, udp or auto in [Interface] or [Peer]; makes the interface, sets addresses, MTU, name servers and routes, and goes to the background when all of it is done.

Without the privileges for that, or with --rootless, the whole tunnel runs in user space: --forward and --socks5 lead into it, --remote-forward out of it, and --allow or --exit says what peers may reach from here.

Sockets and state are in /var/run/wireguard and /var/run/wirestream; without root in $XDG_RUNTIME_DIR/wirestream; WIRESTREAM_RUN_DIR puts them elsewhere.`;
  static override examples = [
    '<%= config.bin %> up wg0',
    '<%= config.bin %> up ./office.conf --foreground',
    '<%= config.bin %> up ./office.conf --rootless --forward 127.0.0.1:8080=10.0.0.1:80',
    '<%= config.bin %> up ./office.conf --rootless --socks5 1080 --name-server 10.0.0.1',
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
    ...ROOTLESS_FLAGS,
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
    const misplaced = rootlessFlagIn(flags);
    if (driver !== 'portable' && misplaced !== null) {
      throw new WirestreamError('usage', `${misplaced} is for tunnels without an interface`, 'add --rootless');
    }
    if (why !== null) say(`rootless: the tunnel runs in user space, without an interface (${why})`);
    const user = driver === 'portable' ? { user: userOptions(flags, parsed.config) } : {};
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
