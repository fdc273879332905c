import type { Socket } from 'node:net';
import type { CaptureFeed } from '@wirestream/core/capture/live/captures';

/** How much is handed to the socket at once, bytes. */
const CHUNK = 256 * 1024;

/**
 * Sends what a capture's ring holds to a client as fast as the client reads. While it does not, the ring fills up, and the device counts
 * what it has to leave out.
 */
export class CaptureStream {
  #feed: CaptureFeed | null = null;
  #started = false;
  #busy: Promise<void> | null = null;

  constructor(private readonly socket: Socket) {}

  /** To be called when there is something to take. */
  readonly ready = (): void => {
    // `start` looks by itself.
    if (this.#feed !== null && this.#started) this.#busy ??= this.#pump(this.#feed).finally(() => (this.#busy = null));
  };

  get isRunning(): boolean {
    return this.#started;
  }

  attach(feed: CaptureFeed): void {
    this.#feed = feed;
  }

  /** Begins to send, if there is anything to be sent: the answer is out. */
  start(): void {
    this.#started = this.#feed !== null;
    this.ready();
  }

  /** Stops watching and sends what is left. */
  async finish(): Promise<void> {
    const feed = this.#feed;
    if (feed === null) return;
    await feed.stop();
    await this.#busy;
    this.ready();
    await this.#busy;
    this.#feed = null;
    this.#started = false;
  }

  async #pump(feed: CaptureFeed): Promise<void> {
    const { socket } = this;
    for (let bytes = feed.take(CHUNK); bytes !== null && !socket.destroyed; bytes = feed.take(CHUNK)) {
      if (socket.write(bytes)) continue;
      await new Promise<void>((resolve) => {
        const done = (): void => {
          socket.off('drain', done);
          socket.off('close', done);
          resolve();
        };
        socket.on('drain', done);
        socket.on('close', done);
      });
    }
  }
}
