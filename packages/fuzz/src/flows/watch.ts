import { CaptureWriter } from '@wirestream/core/capture/capturewriter';
import type { CaptureFeed } from '@wirestream/core/capture/live/captures';
import type { TapOptions } from '@wirestream/core/capture/live/encoder';
import { LiveCapture } from '@wirestream/core/capture/live/livecapture';
import { decodeAll } from '../targets/capture.js';
import { must } from '../target.js';

interface Watched {
  capture(options: TapOptions, ready: () => void): CaptureFeed | Promise<CaptureFeed>;
}

/** Captures what a tunnel does for as long as it runs, with the keys. */
export class Watch {
  readonly #parts: Uint8Array[] = [];
  readonly #writer: CaptureWriter;
  readonly #live: LiveCapture;
  #feed: CaptureFeed | null = null;

  private constructor() {
    const contents = { outer: true, inner: true, records: true };
    const about = { contents, application: 'fuzz', source: 'fuzz', snapLength: 0 };
    this.#writer = new CaptureWriter((bytes) => this.#parts.push(bytes.slice()), about);
    this.#writer.begin();
    this.#live = new LiveCapture(this.#writer);
  }

  static async begin(tunnel: Watched): Promise<Watch> {
    const watch = new Watch();
    const options = { messages: true, inner: true, keys: true, snapLength: 100_000 };
    watch.#feed = await tunnel.capture(options, () => watch.#take());
    return watch;
  }

  /** Ends it: what was captured is a capture without faults, and where nothing was missed its keys open every message in it. @returns messages */
  async end(): Promise<number> {
    await this.#feed!.stop();
    this.#take();
    this.#live.finish();
    const file = new Uint8Array(Buffer.concat(this.#parts));
    const { tally } = decodeAll(file, [65_536], []);
    must(tally.errors === 0, () => `a capture of a tunnel has ${tally.errors} faults`);
    if (this.#live.lost > 0) return tally.decrypted;
    must(tally.failed === 0, () => `${tally.failed} captured messages are not authentic`);
    must(
      tally.undecrypted === 0,
      () => `${tally.undecrypted} captured messages are not opened by the keys beside them`,
    );
    must(tally.decrypted > 0, 'nothing was captured');
    return tally.decrypted;
  }

  #take(): void {
    for (let bytes = this.#feed?.take(1000) ?? null; bytes !== null; bytes = this.#feed!.take(1000))
      this.#live.push(bytes);
  }
}
