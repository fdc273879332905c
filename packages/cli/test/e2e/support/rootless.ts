import { chownSync, readFileSync } from 'node:fs';
import { once } from 'node:events';
import net from 'node:net';
import { basename, dirname, join } from 'node:path';
import { Child, must, run, type Result } from './command.js';
import { identity, type Identity } from './keys.js';
import type { Namespace } from './netns.js';
import { uniqueName, type Scope } from './scope.js';
import { WIRESTREAM } from './wirestream.js';
import { writeWgQuick } from './wgquick.js';

/** Whom the command runs as when the tests run as root: nobody, with no capability left. */
const NOBODY = 65_534;
const AS_NOBODY = ['setpriv', `--reuid=${NOBODY}`, `--regid=${NOBODY}`, '--clear-groups', '--bounding-set=-all'];
const IS_ROOT = process.getuid?.() === 0;

/** A port of 127.0.0.1 that was free a moment ago. */
export async function freePort(): Promise<number> {
  const server = net.createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as net.AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

export interface RootlessPairOptions {
  readonly transport: 'tcp' | 'udp';
  /** flags of each end's `up` */
  readonly a?: readonly string[];
  readonly b?: readonly string[];
  /** further lines of the file's [Interface] */
  readonly lines?: readonly string[];
  readonly bare?: boolean;
}

/** Hides the TUN device from a program, where one may. */
const WITHOUT_TUN = [
  ...['unshare', '--mount', 'sh', '-c', '[ ! -d /dev/net ] || mount -t tmpfs none /dev/net; exec "$@"', 'sh'],
];

export interface EndOptions {
  readonly ns?: Namespace;
  /** nothing native is loaded, and there is no /dev/net/tun */
  readonly bare?: boolean;
}

/** `wirestream up` in the foreground, run by an ordinary user, without interface and privileges. */
export class RootlessEnd {
  private constructor(
    readonly name: string,
    readonly child: Child,
    private readonly env: Readonly<Record<string, string>>,
  ) {}

  /** @param ns where, when not in the namespace that the tests run in */
  static async up(
    scope: Scope,
    file: string,
    flags: readonly string[],
    options: EndOptions = {},
  ): Promise<RootlessEnd> {
    const { ns, bare = false } = options;
    const folder = dirname(file);
    const name = basename(file, '.conf');
    const env = {
      XDG_RUNTIME_DIR: folder,
      HOME: folder,
      WIRESTREAM_RUN_DIR: join(folder, 'run'),
      ...(bare ? { WIRESTREAM_NATIVE: '0' } : {}),
    };
    if (IS_ROOT) for (const path of [folder, file]) chownSync(path, NOBODY, NOBODY);
    const user = IS_ROOT ? [...(bare ? WITHOUT_TUN : []), ...AS_NOBODY] : [];
    const argv = [...user, ...WIRESTREAM, 'up', file, '--foreground', ...flags];
    const child = ns === undefined ? new Child(argv, { env }) : ns.spawn(argv, { env });
    scope.defer(async () => void (await child.stop()), `kill ${child.pid}`);
    await child.says(/ is up; /);
    return new RootlessEnd(name, child, env);
  }

  /** Runs another of our commands as the same user. */
  async command(...args: string[]): Promise<Result> {
    return run([...(IS_ROOT ? AS_NOBODY : []), ...WIRESTREAM, ...args], { env: this.env });
  }

  async output(...args: string[]): Promise<string> {
    return must([...(IS_ROOT ? AS_NOBODY : []), ...WIRESTREAM, ...args], { env: this.env });
  }

  /** The most memory that it ever had, bytes. */
  get peakMemory(): number {
    const status = readFileSync(`/proc/${this.child.pid}/status`, 'latin1');
    return Number(/^VmHWM:\s+(\d+) kB/m.exec(status)![1]) * 1024;
  }
}

export interface RootlessPair {
  readonly a: RootlessEnd;
  readonly b: RootlessEnd;
}

/** Two ends on this host, 10.0.0.1 and 10.0.0.2; the first dials. */
export async function rootlessPair(scope: Scope, options: RootlessPairOptions): Promise<RootlessPair> {
  const keys = { a: identity(), b: identity() };
  const port = await freePort();
  const start = async (mine: Identity, theirs: Identity, number: 1 | 2, flags: readonly string[]) => {
    const file = join(scope.directory(), `${uniqueName()}.conf`);
    const listenPort = number === 2 ? port : 0;
    const { transport, lines = [] } = options;
    const iface = { privateKey: mine.privateKey, address: [`10.0.0.${number}/24`, `fd00::${number}/64`], lines };
    writeWgQuick(file, { ...iface, listenPort, transport }, [
      {
        publicKey: theirs.publicKey,
        allowedIPs: [`10.0.0.${3 - number}/32`, `fd00::${3 - number}/128`],
        ...(number === 1 ? { endpoint: `127.0.0.1:${port}` } : {}),
      },
    ]);
    return RootlessEnd.up(scope, file, flags, { bare: options.bare === true });
  };
  const b = await start(keys.b, keys.a, 2, options.b ?? []);
  const a = await start(keys.a, keys.b, 1, options.a ?? []);
  return { a, b };
}
