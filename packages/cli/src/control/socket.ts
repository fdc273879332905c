import { chmodSync, lstatSync, unlinkSync } from 'node:fs';
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
  readonly #inode: number;

  private constructor(
    readonly path: string,
    server: Server,
  ) {
    this.#server = server;
    this.#inode = lstatSync(path).ino;
    server.on('connection', (socket) => {
      this.#clients.add(socket);
      socket.on('close', () => this.#clients.delete(socket));
    });
  }

  /**
   * Listens at `path` with mode 0600, in place of a stale socket if need be.
   * @throws WirestreamError already-running; not-a-socket; unsafe-directory
   */
  static async listen(path: string, serve: (socket: Socket) => Promise<void>): Promise<SocketServer> {
    makePrivateDir(path);
    await clear(path);
    const server = createServer((socket) => {
      // A client that goes away is no event; what it wanted is over.
      socket.on('error', () => socket.destroy());
      serve(socket).then(
        () => socket.end(),
        () => socket.destroy(),
      );
    });
    // The file must not be open to others even for a moment: bind() happens within listen().
    const umask = process.umask(0o177);
    try {
      server.listen(path);
    } finally {
      process.umask(umask);
    }
    await new Promise<void>((resolve, reject) => {
      server.once('listening', resolve);
      server.once('error', reject);
    });
    chmodSync(path, 0o600);
    return new SocketServer(path, server);
  }

  /** Whether the file is still there. Somebody who removes it wants the tunnel to end. */
  get present(): boolean {
    try {
      return lstatSync(this.path).ino === this.#inode;
    } catch {
      return false;
    }
  }

  /** @param linger let clients read what has been written to them; else they are cut off */
  async close(linger = false): Promise<void> {
    if (this.present) unlinkSync(this.path);
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    for (const socket of this.#clients) {
      if (linger) socket.end();
      else socket.destroy();
    }
    await closed;
  }
}

async function clear(path: string): Promise<void> {
  const stat = lstatSync(path, { throwIfNoEntry: false });
  if (stat === undefined) return;
  if (!stat.isSocket()) {
    throw new WirestreamError('not-a-socket', `${path}: is in the way`, 'it is not a socket; remove it');
  }
  if ((await probeSocket(path)) === 'live') {
    throw new WirestreamError(
      'already-running',
      `${path}: somebody is serving it already`,
      'take that tunnel down first',
    );
  }
  unlinkSync(path);
}
