import { readFileSync, rmSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { DeviceSnapshot, PeerSnapshot } from '@wirestream/core/device/snapshot';
import { ControlClient } from '../../../src/control/control.js';
import type { Child, Result, RunOptions } from './command.js';
import type { Namespace } from './netns.js';
import { isAlive } from './proc.js';
import { uniqueName, type Scope } from './scope.js';
import type { Tunnel, TunnelOptions } from './tunnel.js';
import { until } from './until.js';
import { writeWgQuick } from './wgquick.js';

/** The built command. */
export const WIRESTREAM = [
  process.execPath,
  resolve(fileURLToPath(import.meta.url), '../../../../bin/run.js'),
] as const;

const RUN_DIR = '/var/run/wirestream';
const UAPI_DIR = '/var/run/wireguard';

/** Files by which a running tunnel is known. */
export function runFiles(name: string): string[] {
  return [`${UAPI_DIR}/${name}.sock`, ...['sock', 'json', 'log'].map((kind) => `${RUN_DIR}/${name}.${kind}`)];
}

/** A tunnel of ours. */
export class Wirestream implements Tunnel {
  #pid = 0;

  private constructor(
    readonly name: string,
    readonly home: Namespace,
    readonly file: string,
  ) {}

  /** Writes the configuration and brings it up with `wirestream up FILE`. */
  static async up(scope: Scope, ns: Namespace, options: TunnelOptions): Promise<Wirestream> {
    const tunnel = Wirestream.down(scope, ns, options);
    await tunnel.up();
    return tunnel;
  }

  /** Only writes the configuration. */
  static down(scope: Scope, ns: Namespace, options: TunnelOptions): Wirestream {
    const name = options.name ?? uniqueName();
    const file = join(scope.directory(), `${name}.conf`);
    scope.defer(
      () => runFiles(name).forEach((path) => rmSync(path, { force: true })),
      `rm -f ${runFiles(name).join(' ')}`,
    );
    const tunnel = new Wirestream(name, ns, file);
    tunnel.write(options);
    return tunnel;
  }

  /** Writes its file anew, for the next `up`. */
  write({ iface, peers }: Pick<TunnelOptions, 'iface' | 'peers'>): void {
    writeWgQuick(this.file, iface, peers);
  }

  get pid(): number {
    return this.#pid;
  }

  /** Again, with the configuration that is in the file. */
  async up(flags: readonly string[] = []): Promise<Result> {
    const result = await this.home.run([...WIRESTREAM, 'up', this.file, ...flags]);
    if (result.code !== 0) throw new Error(`wirestream up ${this.file}: ${result.stdout}${result.stderr}`);
    this.#pid = (JSON.parse(readFileSync(`${RUN_DIR}/${this.name}.json`, 'utf8')) as { pid: number }).pid;
    return result;
  }

  async down(): Promise<void> {
    await this.home.must([...WIRESTREAM, 'down', this.file]);
  }

  async kill(): Promise<void> {
    process.kill(this.#pid, 'SIGKILL');
    await until(`process ${this.#pid} to end`, () => !isAlive(this.#pid));
  }

  /** `wirestream show NAME --json`. */
  async showJson(): Promise<ShownInterface> {
    const text = await this.home.must([...WIRESTREAM, 'show', this.name, '--json']);
    return (JSON.parse(text) as Record<string, ShownInterface>)[this.name]!;
  }

  /** The same state from the control socket, for looking often. */
  async snapshot(): Promise<DeviceSnapshot> {
    const client = await ControlClient.open(`${RUN_DIR}/${this.name}.sock`);
    try {
      return await client.snapshot();
    } finally {
      client.close();
    }
  }

  /** The only peer. */
  async peer(): Promise<PeerSnapshot> {
    const { peers } = await this.snapshot();
    if (peers.length !== 1) throw new Error(`${this.name} has ${peers.length} peers`);
    return peers[0]!;
  }
}

/** Runs `wirestream ARGS` in a namespace. */
export async function wirestream(ns: Namespace, args: readonly string[], options?: RunOptions): Promise<Result> {
  return ns.run([...WIRESTREAM, ...args], options);
}

export function spawnWirestream(ns: Namespace, args: readonly string[]): Child {
  return ns.spawn([...WIRESTREAM, ...args]);
}

/** What tests read of `show --json`. */
export interface ShownInterface {
  readonly privateKey?: string;
  readonly publicKey?: string;
  readonly listenPort?: number;
  readonly transport?: string;
  readonly tcp?: { readonly pending: number; readonly refusals: Readonly<Record<string, number>> };
  readonly peers: Readonly<Record<string, ShownPeer>>;
}

export interface ShownPeer {
  readonly presharedKey?: string;
  readonly endpoint?: string;
  readonly latestHandshake?: number;
  readonly transferRx?: number;
  readonly transferTx?: number;
  readonly persistentKeepalive?: number;
  readonly allowedIps: readonly string[];
  readonly tcp?: {
    readonly connections: readonly ShownConnection[];
    readonly resyncs: number;
    readonly queuedBytes: number;
    readonly drops: Readonly<Record<string, number>>;
  };
}

export interface ShownConnection {
  readonly id: number;
  readonly direction: 'outbound' | 'inbound';
  readonly state: string;
  readonly local: string | null;
  readonly remote: string;
  readonly active: boolean;
}
