/** Ephemeral ports: those that RFC 6335 §6 sets aside. */
const PORT_FIRST = 49_152;
const PORT_COUNT = 16_384;
/** A seed's worth of tries before a free port is no longer looked for. */
const TRIES = 64;

/** Numbers drawn from the driver's source of random bytes. */
export class Draw {
  readonly #bytes = new Uint8Array(4);
  readonly #view = new DataView(this.#bytes.buffer);

  constructor(private readonly random: (out: Uint8Array) => void) {}

  /** 32 bits, unsigned */
  uint32(): number {
    this.random(this.#bytes);
    return this.#view.getUint32(0);
  }

  /** An ephemeral port that is free according to `isFree`; 0 when none was found (RFC 6056 §3.3.2). */
  port(isFree: (port: number) => boolean): number {
    for (let n = 0; n < TRIES; n++) {
      const port = PORT_FIRST + (this.uint32() % PORT_COUNT);
      if (isFree(port)) return port;
    }
    return 0;
  }
}
