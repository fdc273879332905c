import { formatIp } from '../address/ip.js';
import { u16 } from './feed.js';
import type { IpView } from './ipview.js';

/**
 * The name of the flow that a packet belongs to: both addresses and ports, the same for both directions. Names are short
 * strings because V8 hashes strings with a secret seed, so nobody can make a capture whose flows all collide.
 */
export class FlowKey {
  key = '';
  /** whether the packet's source comes second in `key` */
  swapped = false;

  set(view: IpView, bytes: Uint8Array): void {
    const length = view.addressLength;
    this.swapped = isAfter(view, bytes);
    const first = this.swapped ? view.destinationAddress : view.sourceAddress;
    const second = this.swapped ? view.sourceAddress : view.destinationAddress;
    const firstPort = this.swapped ? view.destinationPort : view.sourcePort;
    const secondPort = this.swapped ? view.sourcePort : view.destinationPort;
    if (length === 4) {
      this.key = String.fromCharCode(
        u16(bytes, first, false),
        u16(bytes, first + 2, false),
        u16(bytes, second, false),
        u16(bytes, second + 2, false),
        firstPort,
        secondPort,
      );
      return;
    }
    let key = String.fromCharCode(firstPort, secondPort);
    for (let i = 0; i < 16; i += 2)
      key += String.fromCharCode(u16(bytes, first + i, false), u16(bytes, second + i, false));
    this.key = key;
  }
}

function isAfter(view: IpView, bytes: Uint8Array): boolean {
  for (let i = 0; i < view.addressLength; i++) {
    const difference = bytes[view.sourceAddress + i]! - bytes[view.destinationAddress + i]!;
    if (difference !== 0) return difference > 0;
  }
  return view.sourcePort > view.destinationPort;
}

/**
 * One end of a flow: its address and port. They are read out of the flow's key when somebody wants to see them: most connections of a large or hostile
 * capture are never shown, and text is what would cost most about them.
 */
export class FlowEnd {
  #address: string | null = null;
  #text: string | null = null;

  /**
   * @param key of the flow (FlowKey)
   * @param second which of the two ends in it
   */
  constructor(
    private readonly key: string,
    private readonly second: boolean,
  ) {}

  get port(): number {
    return this.key.charCodeAt((this.#isV4 ? 4 : 0) + (this.second ? 1 : 0));
  }

  get address(): string {
    return (this.#address ??= formatIp(this.#bytes()));
  }

  /** `1.2.3.4:5` or `[fd00::1]:5` */
  get text(): string {
    return (this.#text ??= this.#isV4 ? `${this.address}:${this.port}` : `[${this.address}]:${this.port}`);
  }

  get #isV4(): boolean {
    return this.key.length === V4_KEY;
  }

  #bytes(): Uint8Array {
    const [first, step, words] = this.#isV4 ? [this.second ? 2 : 0, 1, 2] : [this.second ? 3 : 2, 2, 8];
    const bytes = new Uint8Array(2 * words);
    for (let i = 0; i < words; i++) {
      const word = this.key.charCodeAt(first + i * step);
      bytes[2 * i] = word >> 8;
      bytes[2 * i + 1] = word;
    }
    return bytes;
  }
}

/** Two words for each address, one for each port. */
const V4_KEY = 6;
