import { chmodSync, linkSync, lstatSync, rmSync, unlinkSync } from 'node:fs';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { WirestreamError } from '@wirestream/core/device/errors';
import { makePrivateDir } from './paths.js';

/** What of a socket file is known: nobody is behind it ('stale'), somebody is ('live'), or there is none ('none'). */
export type SocketState = 'none' | 'stale' | 'live';

/** Finds out by connecting. */
export async function probeSocket(path: string): Promise<SocketState> {
  try {
    (await open(path)).destroy();
    return 'live';
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT') return 'none';
    if (code === 'ECONNREFUSED') return 'stale';
    throw error;
  }
}

/** A connection to the socket at `path`. Rejects with the system's error. */
export async function open(path: string): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ path });
    socket.once('error', reject);
    socket.once('connect', () => {
      socket.off('error', reject);
      resolve(socket);
    });
  });
}

/** A listening socket file that is removed again when it is closed, if it is still the same file. */
export class SocketServer {
  readonly #server: Server;
  readonly #clients = new Set<Socket>();
  /** null: there was no file of that name to begin with */
  readonly #identity: string | null;

  private constructor(
    readonly path: string,
    server: Server,
  ) {
    this.#server = server;
    this.#identity = identify(path);
    server.on('connection', (socket) => {
      this.#clients.add(socket);
      socket.on('close', () => this.#clients.delete(socket));
    });
  }

  /**
   * Listens at `path` with mode 0600, in place of a stale socket if need be.
   * @param fd a descriptor that listens there already, to be taken over
   * @throws WirestreamError already-running; not-a-socket; no-directory; unsafe-directory
   */
  static async listen(path: string, serve: (socket: Socket) => Promise<void>, fd?: number): Promise<SocketServer> {
    makePrivateDir(path);
    if (fd === undefined) await clear(path);
    const server = createServer((socket) => {
      // A client that goes away is no event; what it wanted is over.
      socket.on('error', () => socket.destroy());
      serve(socket).then(
        () => socket.end(),
        () => socket.destroy(),
      );
    });
    if (fd !== undefined) {
      await bind(server, { fd });
      return new SocketServer(path, server);
    }
    // Made under another name and linked to its own when it is ready: of two that want the name one gets it, nobody finds it with
    // another mode, and libuv, which removes on close the name that was bound, does not remove somebody else's file.
    const made = `${path}.${process.pid}`;
    rmSync(made, { force: true });
    try {
      await bind(server, { path: made });
      chmodSync(made, 0o600);
      linkSync(made, path);
    } catch (error) {
      server.close();
      throw (error as NodeJS.ErrnoException).code === 'EEXIST' ? inUse(path) : error;
    } finally {
      rmSync(made, { force: true });
    }
    return new SocketServer(path, server);
  }

  /** Whether the file is still there. Somebody who removes it wants the tunnel to end. */
  get present(): boolean {
    return identify(this.path) === this.#identity;
  }

  /** @param linger let clients read what has been written to them; else they are cut off */
  async close(linger = false): Promise<void> {
    if (this.#identity !== null && this.present) unlinkSync(this.path);
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    for (const socket of this.#clients) {
      if (linger) socket.end(() => socket.destroy());
      else socket.destroy();
    }
    await closed;
  }
}

async function bind(server: Server, where: { path: string } | { fd: number }): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(where, () => {
      server.off('error', reject);
      resolve();
    });
  });
}

/** What tells a file from a later one of the same name and, since they are used again, the same inode. */
function identify(path: string): string | null {
  const stat = lstatSync(path, { throwIfNoEntry: false, bigint: true });
  return stat === undefined ? null : `${stat.ino} ${stat.mtimeNs}`;
}

async function clear(path: string): Promise<void> {
  const stat = lstatSync(path, { throwIfNoEntry: false });
  if (stat === undefined) return;
  if (!stat.isSocket()) {
    throw new WirestreamError('not-a-socket', `${path}: is in the way`, 'it is not a socket; remove it');
  }
  if ((await probeSocket(path)) === 'live') throw inUse(path);
  unlinkSync(path);
}

function inUse(path: string): WirestreamError {
  return new WirestreamError(
    'already-running',
    `${path}: somebody is serving it already`,
    'take that tunnel down first',
  );
}
