import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import type { Seg } from './segments.js';
import { bytesOf, PeerSide, World, type FakeNative } from './world.js';

/** What the peer's segments may be, in any order: pieces of its stream that overlap, come twice or never; windows of all kinds; ends and resets anywhere. */
type Step =
  | { do: 'segments'; pieces: Piece[] }
  | { do: 'write'; bytes: number }
  | { do: 'eof' }
  | { do: 'take'; share: number }
  | { do: 'wait'; ms: number }
  | { do: 'reset'; at: 'next' | 'old' | 'far' };

interface Piece {
  /** of the peer's stream, as shares of it */
  from: number;
  length: number;
  window: number;
  /** how much of what was heard it acknowledges */
  heard: number;
  times: number;
}

const MSS = 1380;
const share = fc.double({ min: 0, max: 1, noNaN: true });
const piece: fc.Arbitrary<Piece> = fc.record({
  from: share,
  length: fc.oneof(fc.integer({ min: 0, max: MSS }), fc.constant(MSS)),
  window: fc.oneof(fc.constantFrom(0, 1, 100, 3_000), fc.nat({ max: 9_000 })),
  heard: fc.oneof(fc.constant(1), share),
  times: fc.constantFrom(1, 1, 1, 2),
});
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant('segments' as const),
      pieces: fc.array(piece, { minLength: 1, maxLength: 4 }),
    }),
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('write' as const), bytes: fc.integer({ min: 1, max: 9_000 }) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('eof' as const) }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('take' as const), share }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('wait' as const), ms: fc.constantFrom(1, 40, 250) }) },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant('reset' as const),
      at: fc.constantFrom('next' as const, 'old' as const, 'far' as const),
    }),
  },
);

/** As toEqual, which takes a look at every byte. */
function same(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0;
}

/** The two streams as they must be, and how far each has come. */
class Model {
  readonly world: World;
  readonly peer: PeerSide;
  readonly native: FakeNative;
  /** the peer's stream; which of its bytes have been sent at least once, the end being one more */
  readonly #stream: Uint8Array;
  readonly #sent: Uint8Array;
  /** the native side's: written so far, and which of it the peer has heard */
  written = 0;
  eof = false;
  readonly #heard: boolean[] = [];
  /** no byte may go beyond this */
  #edge: number;
  acked = 0;
  isReset = false;

  constructor(length: number, iss: number, window: number, sackPermitted: boolean) {
    this.#edge = window;
    // Initial sequence numbers of ours just before the wrap.
    this.world = new World({ random: (out) => out.fill(0xff) });
    this.peer = new PeerSide(this.world, { iss, window, mss: MSS, sackPermitted });
    this.native = this.peer.open();
    this.world.sent();
    this.#stream = bytesOf(length, 3);
    this.#sent = new Uint8Array(length + 1);
  }

  get length(): number {
    return this.#stream.length;
  }

  /** How much of the peer's stream is there without a gap; the end counts as one. */
  get covered(): number {
    const gap = this.#sent.indexOf(0);
    return gap < 0 ? this.#sent.length : gap;
  }

  /** The same of ours at the peer. */
  get heard(): number {
    const gap = this.#heard.indexOf(false);
    return gap < 0 ? this.#heard.length : gap;
  }

  get isOver(): boolean {
    return this.native.calls.includes('close');
  }

  piece(from: number, length: number, window: number, acked: number): Uint8Array {
    const end = Math.min(from + length, this.length);
    this.#sent.fill(1, from, end);
    const fin = end === this.length;
    if (fin) this.#sent[end] = 1;
    this.#edge = Math.max(this.#edge, acked + window);
    const data = this.#stream.subarray(from, end);
    return this.peer.segment({ flags: fin ? 'FA' : 'A', offset: from, acked, window, data });
  }

  apply(one: Step): void {
    const { world, native, peer } = this;
    switch (one.do) {
      case 'segments': {
        const packets = one.pieces.flatMap(({ from, length, window, heard, times }) =>
          Array.from({ length: times }, () =>
            this.piece(Math.floor(from * this.length), length, window, Math.floor(heard * this.heard)),
          ),
        );
        world.receive(...packets);
        break;
      }
      case 'write':
        if (this.eof || native.paused) return;
        for (let n = 0; n < one.bytes; n++) this.#heard.push(false);
        world.turn((now) => world.stack.tcp.data(now, native.flow!, bytesOf(one.bytes, this.written)));
        this.written += one.bytes;
        break;
      case 'eof':
        if (this.eof) return;
        this.eof = true;
        this.#heard.push(false);
        world.turn((now) => world.stack.tcp.eof(now, native.flow!));
        break;
      case 'take':
        world.confirm(native, Math.floor(one.share * (native.writtenBytes - native.confirmed)));
        break;
      case 'wait':
        world.pass(one.ms);
        break;
      case 'reset': {
        const offset = { next: this.acked, old: this.acked - 1, far: this.acked + 4 * 2 ** 20 }[one.at];
        peer.send({ flags: 'RA', offset, acked: this.heard });
        this.isReset = one.at === 'next' && !this.isOver;
        break;
      }
    }
    this.check();
  }

  /** Nothing lost, nothing invented, nothing too early, nothing beyond a window. */
  check(): void {
    const { native, world, peer } = this;
    const { bytes } = native;
    expect(same(bytes, this.#stream.subarray(0, bytes.length))).toBe(true);
    expect(bytes.length).toBeLessThanOrEqual(this.covered);
    if (native.calls.includes('end')) expect(bytes.length).toBe(this.length);
    for (const seg of world.sent()) if (!seg.flags.includes('R')) this.#checkSegment(seg, peer);
    expect(world.stack.buffersInUse).toBeLessThanOrEqual(2);
    expect(world.stack.tcp.readAhead).toBeLessThanOrEqual(this.written);
    expect(native.calls.includes('reset')).toBe(this.isReset);
  }

  #checkSegment(seg: Seg, peer: PeerSide): void {
    const at = peer.at(seg);
    const fin = seg.flags.includes('F');
    const end = at + seg.data.length;
    expect(same(seg.data, bytesOf(seg.data.length, at))).toBe(true);
    // Without data it may stand behind our end.
    expect(end).toBeLessThanOrEqual(seg.data.length > 0 ? Math.min(this.written, this.#edge) : this.#heard.length);
    if (fin) expect([this.eof, end]).toEqual([true, this.written]);
    this.#heard.fill(true, at, fin ? end + 1 : end);
    const acked = peer.acked(seg);
    expect(acked).toBeGreaterThanOrEqual(this.acked);
    expect(acked).toBeLessThanOrEqual(this.native.confirmed + (this.native.calls.includes('end') ? 1 : 0));
    this.acked = acked;
  }

  /** A sound path from now on: everything arrives. */
  settle(): void {
    this.apply({ do: 'eof' });
    for (let n = 0; n < 300 && !this.isOver; n++) {
      this.world.confirm(this.native);
      const from = Math.min(this.acked, this.length);
      this.world.receive(
        ...[0, 1].map((i) => this.piece(Math.min(from + i * MSS, this.length), MSS, 65_535, this.heard)),
      );
      this.check();
      this.world.pass(250);
      this.check();
    }
    expect(this.isOver).toBe(true);
    expect(same(this.native.bytes, this.#stream)).toBe(true);
    expect(this.heard).toBe(this.written + 1);
  }
}

test('any script of segments: both streams arrive as they were sent, the windows are kept, memory is bounded', () => {
  const iss = fc.constantFrom(5_000, 0xffff_ff00);
  const window = fc.constantFrom(0, 500, 4_000, 65_535);
  const steps = fc.array(step, { maxLength: 25, size: 'max' });
  fc.assert(
    fc.property(
      fc.integer({ min: 0, max: 6_000 }),
      iss,
      window,
      fc.boolean(),
      steps,
      (length, first, offered, sack, script) => {
        const model = new Model(length, first, offered, sack);
        for (const one of script) {
          if (model.isReset || model.isOver) break;
          model.apply(one);
        }
        if (model.isReset) expect(model.world.stack.flows(model.world.now)).toEqual([]);
        else if (!model.isOver) model.settle();
        model.world.pass(60_000);
        expect(model.world.stack.tcp.table.size).toBe(0);
        expect([model.world.stack.buffersInUse, model.world.stack.tcp.readAhead]).toEqual([0, 0]);
      },
    ),
    { numRuns: 80 },
  );
});
