import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { must } from './command.js';
import type { Kind } from './kinds.js';
import type { Namespace } from './netns.js';
import type { Scope } from './scope.js';
import type { Tunnel } from './tunnel.js';

/** An interface driven with wg(8) and ip(8) alone, wherever it is. */
export class Device {
  readonly #directory: string;
  #files = 0;

  private constructor(
    readonly tunnel: Tunnel,
    /** the namespace that the interface is in; its sockets stay where it was made */
    public ns: Namespace,
    scope: Scope,
  ) {
    this.#directory = scope.directory();
  }

  static async start(scope: Scope, kind: Kind, home: Namespace, at: Namespace = home): Promise<Device> {
    const device = new Device(await kind.start(scope, home), home, scope);
    if (at !== home) await device.moveTo(at);
    return device;
  }

  get name(): string {
    return this.tunnel.name;
  }

  async moveTo(ns: Namespace): Promise<void> {
    await this.ns.ip(`link set ${this.name} netns ${ns.name}`);
    this.ns = ns;
  }

  /** Takes all addresses away, gives it these, and brings it up. */
  async addresses(...addresses: string[]): Promise<void> {
    await this.ns.ip(
      `address flush dev ${this.name}`,
      ...addresses.map((address) => `address add ${address} dev ${this.name}`),
      `link set ${this.name} up`,
    );
  }

  async mtu(mtu: number): Promise<void> {
    await this.ns.ip(`link set ${this.name} mtu ${mtu}`);
  }

  /** `wg set NAME ARGS`; where the argument is a file, `key` makes one. */
  async set(...args: string[]): Promise<void> {
    await must(['wg', 'set', this.name, ...args]);
  }

  /** A file with that key, or with none. */
  key(key: string): string {
    return this.#file(`${key}\n`);
  }

  async setconf(...lines: string[]): Promise<void> {
    await must(['wg', 'setconf', this.name, this.#file(lines.join('\n') + '\n')], { deadline: 60_000 });
  }

  /** `wg show NAME WHAT`, without the last newline. */
  async show(what: string): Promise<string> {
    return (await must(['wg', 'show', this.name, what])).trimEnd();
  }

  /** Of the only peer, or of the one given. */
  async transfer(publicKey = ''): Promise<{ rx: number; tx: number }> {
    const lines = (await this.show('transfer')).split('\n');
    const [, rx, tx] = lines.find((line) => line.startsWith(publicKey))!.split('\t');
    return { rx: Number(rx), tx: Number(tx) };
  }

  async endpoint(publicKey: string): Promise<string> {
    const lines = (await this.show('endpoints')).split('\n');
    return lines.find((line) => line.startsWith(publicKey))!.split('\t')[1]!;
  }

  #file(text: string): string {
    const path = join(this.#directory, `${this.#files++}`);
    writeFileSync(path, text, { mode: 0o600 });
    return path;
  }
}
