import type { Device } from '../device/device.js';
import { drainRouteWatch, isLocal, openRouteWatch, sourceFor } from './routewatch.js';
import { close } from './syscalls.js';
import type { TcpSocket, TcpSockets } from './tcpsockets.js';
import type { UdpSockets } from './udpsockets.js';

/** Changes come in flocks, and a link that just came up has no routes yet: look when it has been quiet for so long, ms. */
const SETTLE = 100;

/**
 * Looks after the paths of a device's connections when the kernel says that routes or addresses changed (routewatch.ts), and tells
 * the device of those that are no longer what they were.
 */
export class PathWatch {
  /** descriptor to wait on, or the negative error number: then paths are not watched and WireGuard's own timers have to do */
  readonly fd = openRouteWatch();
  /** when `check` has something to do, ms */
  checksAt = Infinity;

  constructor(
    private readonly device: Device,
    private readonly tcp: TcpSockets,
    private readonly udp: UdpSockets,
  ) {}

  /** Something changed. */
  noticed(now: number): void {
    drainRouteWatch(this.fd);
    this.checksAt = now + SETTLE;
  }

  check(now: number): void {
    if (now < this.checksAt) return;
    this.checksAt = Infinity;
    // A copy: connections are begun and ended in the course of this.
    for (const socket of [...this.tcp.all()]) {
      if (socket.connection.handle === socket && this.#changed(socket)) this.device.pathChanged(now, socket.connection);
    }
    for (const { transport, datagram } of this.device.peers.values()) {
      if (transport === 'udp' && datagram !== null) this.udp.reroute(datagram.remote, this.device.fwmark);
    }
  }

  close(): void {
    if (this.fd >= 0) close(this.fd);
  }

  #changed(socket: TcpSocket): boolean {
    const { connection } = socket;
    const { local, peer } = connection;
    if (local === null || peer === null || connection.state === 'draining') return false;
    const source = sourceFor(connection.remote, this.device.fwmark);
    if (source === null) {
      // Gone, perhaps for a moment only: what matters is when there is a way again.
      socket.pathLost = true;
      return false;
    }
    // What the peer dialled is for the peer to keep up, unless it cannot know: our address is no longer ours.
    if (connection !== peer.links.lastDialled) return !isLocal(local);
    const changed = source !== local.address || socket.pathLost;
    socket.pathLost = false;
    return changed;
  }
}
