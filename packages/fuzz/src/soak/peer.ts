import { nativeCrypto } from '@wirestream/core/noise/native';
import type { Transport } from '@wirestream/core/device/settings';
import { PortableDriver } from '@wirestream/core/portable/portable';
import { Slab } from '@wirestream/core/slab/slab';
import { Rng } from '../campaign/mutate.js';
import { keysOf, peerSettings } from '../hostile/keys.js';
import { LENGTH_MIN, readReply, request } from './traffic.js';

/** What a peer's traffic came to. */
export interface Tally {
  sent: number;
  /** replies whose every byte was right */
  right: number;
  bytes: number;
  /** replies with a byte that was not, or to nothing that was asked */
  wrong: number;
  /** replies to what had been answered */
  twice: number;
  /** requests without a reply in time */
  lost: number;
  handshakes: number;
  /** longest time without a right reply, real ms */
  silence: number;
}

/** Requests under way at a time. */
const WINDOW = 16;
const TURN = 10;
/** Requests that were given up and may be answered late. */
const LATE_MAX = 20_000;
/** A request is given up after so long, real ms. */
const PATIENCE = 2_000;
const MTU = 1420;

/** Sends echo requests of all sizes through a tunnel, as many as come back, and checks every byte of the replies. */
export class Peer {
  readonly tally: Tally = { sent: 0, right: 0, bytes: 0, wrong: 0, twice: 0, lost: 0, handshakes: 0, silence: 0 };
  readonly driver: PortableDriver;
  readonly #rng: Rng;
  readonly #slab = Slab.plain(4096);
  readonly #waiting = new Map<number, { length: number; at: number }>();
  readonly #late = new Set<number>();
  #heardAt: number;
  #turns = 0;
  #next = 1;
  #handshake = 0;
  #timer: NodeJS.Timeout | null = null;

  /** @param clock real ms */
  constructor(
    private readonly number: number,
    port: number,
    transport: Transport,
    seed: number,
    private readonly clock: () => number,
  ) {
    this.#rng = new Rng(seed);
    this.#heardAt = clock();
    this.driver = new PortableDriver({
      crypto: nativeCrypto,
      mtu: MTU,
      listenOn: ['127.0.0.1'],
      settings: {
        privateKey: keysOf(number).privateKey,
        transport,
        // Told where the device listens, it would go there and leave the path aside.
        extensions: false,
        peers: [peerSettings(1, { endpoint: { family: 4, address: '127.0.0.1', port } })],
      },
      deliver: (slab, offset, length) => this.#heard(slab.bytes.subarray(offset, offset + length)),
    });
  }

  async start(): Promise<void> {
    await this.driver.start();
    this.#timer = setInterval(() => this.#turn(), TURN);
  }

  /** Ends it; what is still under way counts as neither. */
  async stop(): Promise<void> {
    if (this.#timer !== null) clearInterval(this.#timer);
    await this.driver.stop();
  }

  #turn(): void {
    const now = this.clock();
    for (const [number, { at }] of this.#waiting) {
      if (now - at < PATIENCE) break;
      this.#waiting.delete(number);
      this.tally.lost++;
      if (this.#late.size < LATE_MAX) this.#late.add(number);
    }
    this.tally.silence = Math.max(this.tally.silence, now - this.#heardAt);
    const [peer] = this.#turns++ % 10 === 0 ? this.driver.snapshot().peers : [];
    if (peer !== undefined && peer.lastHandshake !== this.#handshake) {
      this.#handshake = peer.lastHandshake;
      this.tally.handshakes++;
    }
    while (this.#waiting.size < WINDOW) {
      const length = LENGTH_MIN + this.#rng.below(MTU - LENGTH_MIN + 1);
      const number = this.#next++;
      this.#slab.bytes.set(request(this.number, 1, number, length));
      this.#waiting.set(number, { length, at: now });
      this.tally.sent++;
      this.driver.packet(this.#slab, 0, length);
    }
  }

  #heard(packet: Uint8Array): void {
    const { number, intact } = readReply(packet);
    const asked = this.#waiting.get(number);
    if (intact && asked === undefined && number >= 1 && number < this.#next) {
      // The path repeats datagrams; the replay window must not let them pass.
      if (!this.#late.delete(number)) this.tally.twice++;
      return;
    }
    if (!intact || asked === undefined || asked.length !== packet.length) {
      this.tally.wrong++;
      return;
    }
    this.#waiting.delete(number);
    this.#heardAt = this.clock();
    this.tally.right++;
    this.tally.bytes += packet.length;
  }
}
