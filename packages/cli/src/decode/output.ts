import { closeSync, openSync, writeSync } from 'node:fs';
import { fileError } from './errors.js';

/** How much is gathered before it is written, characters or bytes. */
const BATCH = 64 * 1024;

/** Lines for a stream that may be slow: gathered, and written when the caller has time to wait. */
export class LineOutput {
  #text = '';

  constructor(private readonly stream: NodeJS.WritableStream) {}

  readonly line = (line: string): void => {
    this.#text += `${line}\n`;
  };

  /** Writes what has been gathered, if it is worth it, and waits while the reader is behind. */
  async settle(now = false): Promise<void> {
    if (this.#text === '' || (!now && this.#text.length < BATCH)) return;
    const text = this.#text;
    this.#text = '';
    if (!this.stream.write(text)) await new Promise<void>((resolve) => this.stream.once('drain', () => resolve()));
  }
}

/** A capture file that is being written, `-` for standard output. Its content is as secret as what was decrypted, so nobody else may read it. */
export class CaptureOutput {
  #gathered: Uint8Array[] = [];
  #size = 0;
  readonly #descriptor: number;

  /** @throws WirestreamError when it cannot be made */
  constructor(private readonly file: string) {
    try {
      this.#descriptor = file === '-' ? 1 : openSync(file, 'w', 0o600);
    } catch (error) {
      throw fileError(error, file);
    }
  }

  readonly write = (bytes: Uint8Array): void => {
    this.#gathered.push(bytes);
    this.#size += bytes.length;
    if (this.#size >= BATCH) this.flush();
  };

  close(): void {
    this.flush();
    if (this.file !== '-') closeSync(this.#descriptor);
  }

  /** Writes what has been gathered. */
  flush(): void {
    if (this.#size === 0) return;
    const bytes = Buffer.concat(this.#gathered);
    this.#gathered = [];
    this.#size = 0;
    try {
      for (let at = 0; at < bytes.length;) at += this.#some(bytes, at);
    } catch (error) {
      throw fileError(error, this.file);
    }
  }

  /** Writes some of it; a pipe that is not drained fast enough says EAGAIN. */
  #some(bytes: Uint8Array, at: number): number {
    try {
      return writeSync(this.#descriptor, bytes, at);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error;
      Atomics.wait(PAUSE, 0, 0, 5);
      return 0;
    }
  }
}

const PAUSE = new Int32Array(new SharedArrayBuffer(4));
