import { WirestreamError } from '../device/errors.js';
import type { CaptureHandler } from './packet.js';
import { PcapReader, isPcap } from './pcap.js';
import { PcapngReader, isPcapng } from './pcapng.js';
import { count } from './words.js';

/**
 * Reads a capture file of either format, told apart by its first four bytes. Compression is the caller's affair.
 *
 * Bytes go in with `push` in chunks of any size, packets come out through the handler, and memory stays bounded by the largest packet
 * whatever the file claims. A file that is no capture makes `push` or `end` throw a WirestreamError; damage inside one is reported to the
 * handler and reading goes on behind it.
 */
export class CaptureReader {
  #reader: (PcapReader | PcapngReader) | null = null;
  readonly #first: Uint8Array = new Uint8Array(4);
  #firstLength = 0;

  constructor(private readonly handler: CaptureHandler) {}

  /** which format the file turned out to have; null until its first four bytes were there */
  get format(): 'pcap' | 'pcapng' | null {
    if (this.#reader === null) return null;
    return this.#reader instanceof PcapReader ? 'pcap' : 'pcapng';
  }

  /** packets handed out */
  get packets(): number {
    return this.#reader?.packets ?? 0;
  }

  /** @throws WirestreamError when this is no capture, or of an unknown version */
  push(chunk: Uint8Array): void {
    if (this.#reader !== null) return this.#reader.push(chunk);
    const taken = Math.min(4 - this.#firstLength, chunk.length);
    this.#first.set(chunk.subarray(0, taken), this.#firstLength);
    this.#firstLength += taken;
    if (this.#firstLength < 4) return;
    this.#reader = this.#choose();
    this.#reader.push(this.#first);
    this.#reader.push(chunk.subarray(taken));
  }

  /** @throws WirestreamError when the file ended before it began */
  end(): void {
    if (this.#reader === null) {
      throw new WirestreamError(
        'capture-truncated',
        this.#firstLength === 0
          ? 'the capture is empty'
          : `the capture is only ${count(this.#firstLength, 'byte')} long`,
        'capture again, for example with: tcpdump -i eth0 -w FILE port 51820',
      );
    }
    this.#reader.end();
  }

  #choose(): PcapReader | PcapngReader {
    if (isPcap(this.#first, 0)) return new PcapReader(this.handler);
    if (isPcapng(this.#first, 0)) return new PcapngReader(this.handler);
    const hex = Array.from(this.#first, (byte) => byte.toString(16).padStart(2, '0')).join(' ');
    throw new WirestreamError(
      'capture-foreign',
      `this is no capture file: it begins with ${hex}`,
      'pcap, pcapng, and either of them compressed with gzip can be read',
    );
  }
}
