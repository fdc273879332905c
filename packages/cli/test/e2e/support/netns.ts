import { Child, must, run, type Result, type RunOptions } from './command.js';
import type { Scope } from './scope.js';

let made = 0;

/** A network namespace of our own. Everything that runs in it is ours, and ends with it. */
export class Namespace {
  #ended = false;

  private constructor(readonly name: string) {}

  static async create(scope: Scope, label: string): Promise<Namespace> {
    const ns = new Namespace(`wst-${process.pid}-${made++}-${label}`);
    scope.defer(
      async () => ns.end(),
      `for p in $(ip netns pids ${ns.name}); do kill -9 $p; done; ip netns del ${ns.name}`,
    );
    await must(['ip', 'netns', 'add', ns.name]);
    await ns.sysctl({
      // Addresses are to be usable at once, without a second of looking for duplicates,
      'net.ipv6.conf.all.accept_dad': 0,
      'net.ipv6.conf.default.accept_dad': 0,
      // and to outlive a link that is down for a while, as IPv4's do.
      'net.ipv6.conf.all.keep_addr_on_down': 1,
    });
    await ns.ip('link set lo up');
    return ns;
  }

  /** Commands of ip(8), in this namespace, in one go. */
  async ip(...lines: string[]): Promise<void> {
    await must(['ip', '-n', this.name, '-batch', '-'], { input: lines.join('\n') + '\n' });
  }

  async run(argv: readonly string[], options?: RunOptions): Promise<Result> {
    return run(this.#inside(argv), options);
  }

  /** @returns what a program that has to succeed printed */
  async must(argv: readonly string[], options?: RunOptions): Promise<string> {
    return must(this.#inside(argv), options);
  }

  spawn(argv: readonly string[], options?: RunOptions): Child {
    return new Child(this.#inside(argv), options);
  }

  async sysctl(values: Readonly<Record<string, string | number>>): Promise<void> {
    await this.must(['sysctl', '-qw', ...Object.entries(values).map(([key, value]) => `${key}=${value}`)]);
  }

  async nft(script: string): Promise<void> {
    await this.must(['nft', '-f', '-'], { input: script });
  }

  async pids(): Promise<number[]> {
    return (await must(['ip', 'netns', 'pids', this.name])).split('\n').filter(Boolean).map(Number);
  }

  /** Names of the interfaces in it. */
  async links(): Promise<string[]> {
    const links = JSON.parse(await must(['ip', '-n', this.name, '-json', 'link', 'show'])) as { ifname: string }[];
    return links.map(({ ifname }) => ifname);
  }

  async mtu(dev: string): Promise<number> {
    const links = JSON.parse(await must(['ip', '-n', this.name, '-json', 'link', 'show', 'dev', dev])) as {
      mtu: number;
    }[];
    return links[0]!.mtu;
  }

  /** Routes of both families in all tables, and policy rules, as ip(8) prints them. */
  async routing(): Promise<string> {
    const show = async (...args: string[]) => must(['ip', '-n', this.name, ...args]);
    const parts = [
      await show('-4', 'route', 'show', 'table', 'all'),
      await show('-6', 'route', 'show', 'table', 'all'),
      await show('-4', 'rule'),
      await show('-6', 'rule'),
    ];
    return parts.join('');
  }

  #inside(argv: readonly string[]): string[] {
    return ['ip', 'netns', 'exec', this.name, ...argv];
  }

  /** Ends everything in it, and then it. */
  async end(): Promise<void> {
    if (this.#ended) return;
    this.#ended = true;
    for (const pid of await this.pids()) {
      try {
        process.kill(pid, 'SIGKILL');
      } catch {
        // gone by itself
      }
    }
    await must(['ip', 'netns', 'del', this.name]);
  }
}
