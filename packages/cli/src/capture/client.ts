import type { Socket } from 'node:net';
import type { TapOptions } from '@wirestream/core/capture/live/encoder';
import { WirestreamError } from '@wirestream/core/device/errors';
import { decode, encode, type DaemonInfo } from '../control/control.js';
import { open } from '../control/socket.js';
import { write } from '../control/uapi.js';

const NEWLINE = 0x0a;
/** Longest answer to the request, bytes. */
const ANSWER_MAX = 65_536;

/** The client's side of a capture: asks a daemon for what happens in its tunnel. */
export class CaptureClient {
  private constructor(
    readonly info: DaemonInfo,
    private readonly socket: Socket,
    private readonly first: Uint8Array,
    private readonly chunks: AsyncIterator<Uint8Array>,
  ) {}

  /**
   * @param path of the control socket
   * @throws WirestreamError daemon-refused, daemon-gone; or the system's error when there is no daemon
   */
  static async open(path: string, options: TapOptions): Promise<CaptureClient> {
    const socket = await open(path);
    await write(socket, `${encode({ op: 'capture', options })}\n`);
    const chunks = socket[Symbol.asyncIterator]() as AsyncIterator<Uint8Array>;
    let heard = new Uint8Array(0);
    for (;;) {
      const end = heard.indexOf(NEWLINE);
      if (end >= 0) {
        const answer = decode(new TextDecoder().decode(heard.subarray(0, end))) as Answer;
        if (answer.ok) return new CaptureClient(answer.result, socket, heard.subarray(end + 1), chunks);
        socket.destroy();
        throw new WirestreamError('daemon-refused', `the daemon says: ${answer.error}`);
      }
      const { value, done } = await chunks.next();
      if (done === true || heard.length > ANSWER_MAX) {
        throw new WirestreamError('daemon-gone', 'the daemon has gone away');
      }
      heard = Buffer.concat([heard, value]);
    }
  }

  /** Asks for the end: what has happened by now still comes. */
  stop(): void {
    this.socket.write('end\n');
  }

  /** Ends at once: nothing more is wanted. */
  abandon(): void {
    this.socket.destroy();
  }

  /** What happens, until the end. */
  async *events(): AsyncGenerator<Uint8Array> {
    try {
      if (this.first.length > 0) yield this.first;
      for (;;) {
        const { value, done } = await this.chunks.next();
        if (done === true) return;
        yield value;
      }
    } catch (error) {
      // The daemon was killed: what came before counts.
      if ((error as NodeJS.ErrnoException).code !== 'ECONNRESET') throw error;
    } finally {
      this.socket.destroy();
    }
  }
}

type Answer = { ok: true; result: DaemonInfo } | { ok: false; error: string };
