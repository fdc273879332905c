import { chownSync } from 'node:fs';
import { once } from 'node:events';
import net from 'node:net';
import { join } from 'node:path';
import { readFileSync } from 'node:fs';
import { Child, must, run, type Result } from './command.js';
import { identity, type Identity } from './keys.js';
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
}

/** `wirestream up` in the foreground, run by an ordinary user, without interface and privileges. */
export class RootlessEnd {
  private constructor(
    readonly name: string,
    readonly child: Child,
    private readonly env: Readonly<Record<string, string>>,
  ) {}

  static async up(scope: Scope, name: string, file: string, flags: readonly string[]): Promise<RootlessEnd> {
    const env = { XDG_RUNTIME_DIR: join(file, '..'), HOME: join(file, '..'), WIRESTREAM_RUN_DIR: join(file, '../run') };
    const user = IS_ROOT ? AS_NOBODY : [];
    const child = new Child([...user, ...WIRESTREAM, 'up', file, '--foreground', ...flags], { env });
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
    const folder = scope.directory();
    const name = uniqueName();
    const file = join(folder, `${name}.conf`);
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
    if (IS_ROOT) for (const path of [folder, file]) chownSync(path, NOBODY, NOBODY);
    return RootlessEnd.up(scope, name, file, flags);
  };
  const b = await start(keys.b, keys.a, 2, options.b ?? []);
  const a = await start(keys.a, keys.b, 1, options.a ?? []);
  return { a, b };
}
