import { watch, type FSWatcher } from 'node:fs';
import type { TapOptions } from '@wirestream/core/capture/live/encoder';
import type { DeviceSettings } from '@wirestream/core/device/settings';
import type { DeviceSnapshot } from '@wirestream/core/device/snapshot';
import { serveControl } from '../control/control.js';
import { controlSocket, uapiSocket, type RunPaths } from '../control/paths.js';
import { SocketServer } from '../control/socket.js';
import { serveUapi } from '../control/uapi.js';
import type { HostOptions, TunnelHost } from './host.js';

/** Why a tunnel ended. */
export type EndReason =
  /** somebody said so on the control socket, and takes care of what else was set up */
  | { readonly why: 'asked' }
  /** this process was told to: a signal, or the command that started it is gone */
  | { readonly why: 'told' }
  /** the socket file of the configuration protocol was removed, which asks a daemon to end (wireguard-go's contract) */
  | { readonly why: 'socket-removed' }
  /** the host ended by itself */
  | { readonly why: 'fatal'; readonly error: Error };

/**
 * A running tunnel: a host and the sockets by which others reach it.
 *
 * Theory of operation. The sockets come first, since having them is having the name: a second process that wants the
 * same name fails there, before it touches any interface. Requests that come before the host has started wait
 * for it. The tunnel ends once, for one reason; then the host and the configuration socket are closed, while the control socket
 * answers whoever asked for the end, until `close`.
 */
export class Tunnel {
  /** resolves when the tunnel has ended and the host is closed */
  readonly ended: Promise<EndReason>;
  readonly #host: TunnelHost;
  readonly #started: Promise<void>;
  #sockets: SocketServer[] = [];
  #watcher: FSWatcher | null = null;
  #stopping: Promise<void> | null = null;
  #end!: (reason: EndReason) => void;
  #open!: () => void;

  private constructor(host: TunnelHost) {
    this.#host = host;
    this.ended = new Promise((resolve) => (this.#end = resolve));
    this.#started = new Promise((resolve) => (this.#open = resolve));
  }

  /**
   * @param uapiFd a configuration socket that somebody else listens on already, instead of one to be made
   * @throws WirestreamError already-running, and what the host fails with; nothing is left then
   */
  static async start(
    host: TunnelHost,
    options: HostOptions,
    paths: RunPaths,
    version: string,
    uapiFd?: number,
  ): Promise<Tunnel> {
    const tunnel = new Tunnel(host);
    try {
      await tunnel.#listen(options.name, paths, version, uapiFd);
      host.on('fatal', (error) => void tunnel.stop({ why: 'fatal', error }));
      await host.start(options);
    } catch (error) {
      await tunnel.close();
      throw error;
    }
    tunnel.#open();
    return tunnel;
  }

  async configure(settings: DeviceSettings): Promise<void> {
    await this.#started;
    return this.#host.configure(settings);
  }

  async snapshot(): Promise<DeviceSnapshot> {
    await this.#started;
    return this.#host.snapshot();
  }

  /** Ends the tunnel, if it has not ended yet; resolves when the host is closed. */
  async stop(reason: EndReason): Promise<void> {
    this.#stopping ??= this.#stop(reason);
    return this.#stopping;
  }

  /** Removes the sockets; to be called last. */
  async close(): Promise<void> {
    this.#watcher?.close();
    await Promise.all(this.#sockets.map(async (server) => server.close(true)));
    this.#sockets = [];
  }

  async #listen(name: string, paths: RunPaths, version: string, uapiFd?: number): Promise<void> {
    const backend = {
      snapshot: async () => this.snapshot(),
      capture: async (options: TapOptions, ready: () => void) => {
        await this.#started;
        return this.#host.capture(options, ready);
      },
      configure: async (settings: DeviceSettings) => this.configure(settings),
      info: () => ({ pid: process.pid, name, version, driver: this.#host.driver }),
      user: async () => {
        await this.#started;
        return this.#host.user;
      },
      stop: async () => {
        await this.#started;
        return this.stop({ why: 'asked' });
      },
    };
    const control = await SocketServer.listen(controlSocket(paths, name), async (s) => serveControl(s, backend));
    this.#sockets.push(control);
    const uapi = await SocketServer.listen(uapiSocket(paths, name), async (s) => serveUapi(s, backend), uapiFd);
    this.#sockets.push(uapi);
    this.#watcher = watch(paths.uapiDir, () => {
      if (!uapi.present) void this.stop({ why: 'socket-removed' });
    });
    // That the directory itself goes away is told as a change of it, too.
    this.#watcher.on('error', () => undefined);
  }

  async #stop(reason: EndReason): Promise<void> {
    this.#watcher?.close();
    await this.#host.stop();
    await this.#sockets[1]?.close();
    // Later than the answer to whoever asked, which is written as soon as this promise is done.
    setImmediate(() => this.#end(reason));
  }
}
