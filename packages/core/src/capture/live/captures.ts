import { WirestreamError } from '../../device/errors.js';
import type { Device } from '../../device/device.js';
import { staticKeyLines } from '../../device/keylog.js';
import type { DeviceTap } from '../../device/tap.js';
import { TapEncoder, type TapOptions, type TapSurroundings } from './encoder.js';
import { ByteRing } from './ring.js';

/** Captures of one device at once. */
const CAPTURES_MAX = 8;
/** Room for what has not been fetched yet, bytes: a tenth of a second at a Gbit/s, inner packets and messages both. */
export const RING_ROOM = 1 << 24;

/** The reader's end of a capture. Plain bytes of events (events.ts). */
export interface CaptureFeed {
  /** Up to `most` bytes of what has happened; null when that is all, and `ready` will be called when there is more. */
  take(most: number): Uint8Array | null;
  /** Ends it; afterwards what has been written until now can still be taken. */
  stop(): Promise<void>;
}

interface Running {
  readonly ring: ByteRing;
  readonly encoder: TapEncoder;
  readonly tell: () => void;
}

/**
 * The captures that run on a device. A driver has one of these, and calls `publish` at the end of each of its turns while `isEmpty` is false. The device has
 * no tap while there are none.
 */
export class Captures {
  readonly #running = new Map<number, Running>();

  constructor(private readonly device: Device) {}

  get isEmpty(): boolean {
    return this.#running.size === 0;
  }

  /**
   * Begins one.
   * @param id the caller's, to stop it by
   * @param memory of the ring that its reader has (ByteRing.memoryFor)
   * @param tell is called when there is something to read again
   * @throws WirestreamError capture-busy
   */
  start(
    now: number,
    id: number,
    memory: ArrayBufferLike,
    options: TapOptions,
    around: TapSurroundings,
    tell: () => void,
  ): void {
    if (this.#running.size >= CAPTURES_MAX) {
      throw new WirestreamError(
        'capture-busy',
        `${CAPTURES_MAX} captures of this tunnel are running`,
        'end one of them',
      );
    }
    const ring = new ByteRing(memory);
    const encoder = new TapEncoder(ring, options, around);
    this.#running.set(id, { ring, encoder, tell });
    const { device } = this;
    const connections = [...device.peers.values()].flatMap(({ links }) => links.all);
    const open = [...connections, ...device.pending.all].filter(
      ({ state }) => state !== 'dialling' && state !== 'closed',
    );
    const publics = [...device.peers.values()].map(({ publicKey }) => publicKey);
    const { identity } = device;
    encoder.begin(
      now,
      open,
      options.keys && identity !== null
        ? staticKeyLines(identity.privateKey, options.peer === undefined ? publics : [options.peer])
        : '',
    );
    this.#attach();
  }

  /** Ends one; what it has written can still be read. */
  stop(id: number): void {
    this.#running.delete(id);
    this.#attach();
  }

  /** Shows the readers what happened. @param now and `wallTime`, both ms, read at the same moment */
  publish(now: number, wallTime: number): void {
    for (const { encoder, tell } of this.#running.values()) if (encoder.publish(now, wallTime)) tell();
  }

  #attach(): void {
    const taps = [...this.#running.values()].map(({ encoder }) => encoder);
    this.device.tap = taps.length === 0 ? null : taps.length === 1 ? taps[0]! : everybody(taps);
  }
}

/** One tap that tells several. */
function everybody(taps: readonly DeviceTap[]): DeviceTap {
  return {
    wantsKeys: taps.some(({ wantsKeys }) => wantsKeys),
    received: (...news) => taps.forEach((tap) => tap.received(...news)),
    judged: () => taps.forEach((tap) => tap.judged()),
    identified: (peer) => taps.forEach((tap) => tap.identified(peer)),
    written: (...news) => taps.forEach((tap) => tap.written(...news)),
    datagram: (...news) => taps.forEach((tap) => tap.datagram(...news)),
    outgoing: (...news) => taps.forEach((tap) => tap.outgoing(...news)),
    incoming: (...news) => taps.forEach((tap) => tap.incoming(...news)),
    dropped: (...news) => taps.forEach((tap) => tap.dropped(...news)),
    keys: (peer, lines) => taps.forEach((tap) => tap.wantsKeys && tap.keys(peer, lines)),
    opened: (...news) => taps.forEach((tap) => tap.opened(...news)),
    promoted: (...news) => taps.forEach((tap) => tap.promoted(...news)),
    activated: (...news) => taps.forEach((tap) => tap.activated(...news)),
    moved: (...news) => taps.forEach((tap) => tap.moved(...news)),
    closed: (...news) => taps.forEach((tap) => tap.closed(...news)),
  };
}

/**
 * What to add to a monotonic clock to get the wall clock, both in ms, more exactly than a wall clock that counts whole ms says: looks until it
 * moves on, which takes a ms at most.
 */
export function wallOffset(wall: () => number, monotonic: () => number): number {
  const began = monotonic();
  const first = wall();
  for (;;) {
    const at = wall();
    const now = monotonic();
    if (at !== first || now - began > 2) return at - now;
  }
}
