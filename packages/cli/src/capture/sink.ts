import { existsSync, rmSync } from 'node:fs';
import { extname } from 'node:path';
import { CaptureOutput } from '../decode/output.js';
import type { RingLimits } from './options.js';

/** How long what has been captured may wait before it is written, ms: somebody may be looking at it live. */
const DELAY = 100;

/** Where a capture goes: one file, standard output, or a ring of files. Only its owner can read what is made. */
export class CaptureSink {
  /** begins a file; called at the beginning of each further one */
  begin: () => void = () => undefined;
  #output: CaptureOutput | null = null;
  #size = 0;
  #number = 1;
  #flushedAt = performance.now();
  readonly #files: string[] = [];

  constructor(
    private readonly file: string,
    private readonly ring: RingLimits | null,
  ) {}

  /**
   * Makes the file, which empties one that is there: to be called when there is something to capture for certain.
   * @throws WirestreamError when it cannot be made
   */
  open(): void {
    this.#output = this.#make();
    this.begin();
  }

  readonly write = (bytes: Uint8Array): void => {
    this.#output!.write(bytes);
    this.#size += bytes.length;
  };

  /** To be called between packets: begins the next file when this one is full, and writes what has waited. */
  settle(stalled: boolean): void {
    if (this.ring !== null && this.#size >= this.ring.size) this.#rotate(this.ring);
    const now = performance.now();
    if (!stalled && now - this.#flushedAt < DELAY) return;
    this.#flushedAt = now;
    this.#output?.flush();
  }

  close(): void {
    this.#output?.close();
  }

  #rotate({ files }: RingLimits): void {
    this.#output?.close();
    this.#number++;
    this.#size = 0;
    this.#output = this.#make();
    while (this.#files.length > files) rmSync(this.#files.shift()!, { force: true });
    this.begin();
  }

  #make(): CaptureOutput {
    if (this.ring === null) return new CaptureOutput(this.file);
    const name = numbered(this.file, this.#number);
    // One that is there already may be open to others.
    if (existsSync(name)) rmSync(name);
    this.#files.push(name);
    return new CaptureOutput(name);
  }
}

/** `tunnel.pcapng` and 12 make `tunnel_00012.pcapng`. */
export function numbered(file: string, number: number): string {
  const end = extname(file);
  return `${file.slice(0, file.length - end.length)}_${String(number).padStart(5, '0')}${end}`;
}
