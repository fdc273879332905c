import { EventEmitter } from 'node:events';
import type { TunnelSocket } from './tunnelsocket.js';

/**
 * Accepts connections from peers to one port of our tunnel addresses, as net.Server does on a port of this host. Hand its 'connection'
 * events to an http.Server (`web.emit('connection', socket)`) to serve pages into the tunnel.
 */
export class TunnelServer extends EventEmitter {
  #closed = false;

  constructor(
    readonly port: number,
    private readonly released: () => void,
  ) {
    super();
  }

  /** A peer has connected. */
  accept(socket: TunnelSocket): void {
    if (this.#closed || this.listenerCount('connection') === 0) socket.destroy();
    else this.emit('connection', socket);
  }

  /** Accepts no more; connections that there are stay. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.released();
    this.emit('close');
  }
}
