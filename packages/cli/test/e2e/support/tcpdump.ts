import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { must, type Child } from './command.js';
import type { Namespace } from './netns.js';
import type { Scope } from './scope.js';

let taken = 0;

/** A running capture. */
export class Capture {
  private constructor(
    readonly file: string,
    readonly child: Child,
  ) {}

  /** Resolves once packets are being taken. */
  static async start(scope: Scope, ns: Namespace, dev: string, filter = ''): Promise<Capture> {
    const file = join(scope.directory(), `${taken++}.pcap`);
    // -Z root: it would give up its rights, and with them those to the directory.
    // Each packet that waits takes 64 KiB of its buffer at once, of which there are only 2 MiB by default.
    const buffer = ['-B', '65536'];
    const argv = ['tcpdump', '-i', dev, '-w', file, '-U', '--immediate-mode', '-Z', 'root', '-s', '0', ...buffer];
    const child = ns.spawn(filter === '' ? argv : [...argv, filter]);
    scope.defer(async () => void (await child.stop('SIGKILL')));
    await child.says(/listening on/);
    return new Capture(file, child);
  }

  /** Ends it. @returns the file */
  async stop(): Promise<string> {
    await this.child.stop('SIGINT');
    return this.file;
  }

  /** One line of tcpdump's for each packet that matches; also while it runs. */
  async packets(filter = ''): Promise<string[]> {
    if (readFileSync(this.file).length < 24) return [];
    const argv = ['tcpdump', '-r', this.file, '-nn', '-q', '-tt'];
    const text = await must(filter === '' ? argv : [...argv, filter]);
    return text.split('\n').filter(Boolean);
  }
}
