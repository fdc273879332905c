import { resolve } from 'node:path';
import { Args, Command, Flags } from '@oclif/core';
import { findConfig, loadConfig } from '../config/load.js';
import { systemResolver } from '../config/resolve.js';
import { runPaths } from '../control/paths.js';
import { ForegroundTunnel } from '../daemon/foreground.js';
import { DRIVERS } from '../daemon/host.js';
import { DaemonProcess } from '../daemon/launch.js';
import { bringUp, type Carrier, type UpJob } from '../daemon/up.js';
import { onInterrupt } from '../interrupt.js';
import { SystemShell } from '../network/shell.js';

export default class Up extends Command {
  static override summary = 'Bring a tunnel up, as wg-quick up does.';
  static override description = `Reads a wg-quick file, with Transport = tcp or udp in [Interface] or [Peer]; makes the interface, sets addresses, MTU, name servers and routes, and goes to the background when all of it is done.`;
  static override examples = ['<%= config.bin %> up wg0', '<%= config.bin %> up ./office.conf --foreground'];
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
      default: process.platform === 'linux' ? ('linux' as const) : ('portable' as const),
      description:
        'linux: a TUN device; portable: no privileges and no interface, for reaching peers and looking at them',
    })(),
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
    const shell = new SystemShell(say);
    const interrupt = onInterrupt();
    const job = <C extends Carrier>(start: UpJob<C>['start']): UpJob<C> => ({
      source,
      parsed,
      paths,
      shell,
      resolver: systemResolver(say),
      interrupt,
      extra: { offload: flags.offload, ...(keyLog === undefined ? {} : { keyLogFile: resolve(keyLog) }) },
      start,
    });
    if (flags.foreground) {
      const tunnel = await bringUp(
        job(async (options) => ForegroundTunnel.start(flags.driver, options, paths, version)),
      );
      say(`${source.name} is up; Ctrl-C takes it down`);
      await tunnel.stay(shell, interrupt);
      // The engine may leave handles behind that mean nothing any more.
      this.exit(0);
    }
    const daemon = await bringUp(
      job(async (host) => DaemonProcess.start({ driver: flags.driver, host, paths, version })),
    );
    await daemon.keep();
  }
}
