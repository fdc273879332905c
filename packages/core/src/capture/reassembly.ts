/**
 * Puts one direction of a TCP connection back together.
 *
 * Theory of operation. Segments come in any order, more than once, overlapping, with bytes missing; out come the stream's bytes in order,
 * each once, and in between gaps of known length where bytes are missing from the capture. What is next in order is handed on at once from
 * where it lies; what lies ahead is copied and waits. Where two segments disagree, what came first stays. Positions are offsets into the stream (exact
 * far beyond 4 GiB); sequence numbers wrap around and are only compared with what is near.
 *
 * A hole is given up when somebody says so (`skipHole`: the owner knows of acknowledgements, time and the end of the
 * connection), or when more waits behind it than the bounds allow. Until the first byte of the stream is known (`anchor`)
 * everything waits, so that a stream joined in the middle may begin with its segments out of order.
 */
export class StreamAssembler {
  /** offset of the next byte to be handed on */
  position = 0;
  /** bytes handed on */
  delivered = 0;
  /** bytes that were given up */
  missing = 0;
  /** segments that brought nothing new */
  repeated = 0;
  /** whether the stream's first byte is known */
  anchored = false;

  /** the sequence number at `position` (before anchoring: at offset 0) */
  #sequence = 0;
  #begun = false;
  #waiting: Piece[] = [];
  #strays = 0;

  /**
   * @param sink what takes bytes and gaps
   * @param store what waits in all directions together
   */
  constructor(
    private readonly sink: StreamSink,
    private readonly store: StoreBudget,
  ) {}

  /** Whether anything waits behind a hole. */
  get hasHole(): boolean {
    return this.#waiting.length > 0;
  }

  /** Whether any segment has been seen. */
  get begun(): boolean {
    return this.#begun;
  }

  /** Whether any byte has been seen, or missed. */
  get hasCarried(): boolean {
    return this.position > 0 || this.#waiting.length > 0;
  }

  /** Pieces waiting. */
  get pieces(): number {
    return this.#waiting.length;
  }

  /** The offset of a sequence number that is near. */
  offsetOf(sequence: number): number {
    return this.position + ((sequence - this.#sequence) | 0);
  }

  /**
   * Says that the stream begins at this sequence number, or (no argument) that the lowest one seen is where it is joined. What comes in order is handed on.
   */
  anchor(sequence?: number): void {
    if (this.anchored) return;
    if (sequence !== undefined) {
      if (!this.#begun) this.#sequence = sequence;
      this.#rebase(this.offsetOf(sequence));
    } else {
      if (!this.#begun) return;
      this.#rebase(this.#waiting[0]?.from ?? 0);
    }
    this.#begun = true;
    this.anchored = true;
    this.#drain();
  }

  /**
   * Takes a segment.
   * @param length its payload on the wire; of these `captured` bytes at bytes[offset] are there
   */
  segment(sequence: number, bytes: Uint8Array, offset: number, captured: number, length: number): void {
    if (length === 0) return;
    if (!this.#begun) {
      this.#begun = true;
      this.#sequence = sequence;
    }
    const from = this.offsetOf(sequence);
    if (this.anchored) {
      const isStray = from + STRAY_BEHIND < this.position || from > this.position + STRAY_AHEAD;
      // A byte before the first is a keepalive probe; more than that means that the SYN's number was damaged.
      if (!this.hasCarried && (isStray || from < -1)) return this.#startOver(sequence, bytes, offset, captured, length);
      if (isStray) return this.#stray(sequence, bytes, offset, captured, length);
      this.#strays = 0;
      if (from + length <= this.position) {
        this.repeated++;
        return;
      }
      if (from <= this.position && this.#waiting.length === 0)
        return this.#inOrder(from, bytes, offset, captured, length);
    }
    this.#keep(from, bytes, offset, captured, length);
    if (this.anchored) this.#drain();
    if (this.#waiting.length > PIECES_MAX || this.store.used > STORE_MAX) this.#relieve();
  }

  /** Gives up the hole at the cursor, if something waits behind it. @param until and not more than up to this offset */
  skipHole(until = Infinity): void {
    if (!this.anchored) return this.anchor();
    const first = this.#waiting[0];
    if (first === undefined) return;
    this.#gap(Math.min(first.from, until) - this.position, 'lost');
    this.#drain();
  }

  /** Hands on all that waits, with gaps in between. @param until the offset up to which bytes are known to have existed */
  end(until = 0): void {
    if (!this.anchored) this.anchor();
    while (this.#waiting.length > 0) this.skipHole();
    if (until > this.position) this.#gap(until - this.position, 'lost');
  }

  #inOrder(from: number, bytes: Uint8Array, offset: number, captured: number, length: number): void {
    const skip = this.position - from;
    if (skip < captured) this.#deliver(bytes, offset + skip, captured - skip);
    const cut = from + length - this.position;
    if (cut > 0) this.#gap(cut, 'cut');
  }

  #deliver(bytes: Uint8Array, offset: number, length: number): void {
    const at = this.position;
    this.#advance(length);
    this.delivered += length;
    this.sink.data(at, bytes, offset, length);
  }

  #gap(length: number, why: GapReason): void {
    const at = this.position;
    this.#advance(length);
    this.missing += length;
    this.sink.gap(at, length, why);
  }

  #advance(length: number): void {
    this.position += length;
    this.#sequence = (this.#sequence + length) >>> 0;
  }

  #drain(): void {
    const waiting = this.#waiting;
    let n = 0;
    while (n < waiting.length && waiting[n]!.from === this.position) {
      const piece = waiting[n++]!;
      this.store.used -= cost(piece);
      if (piece.bytes === null) this.#gap(piece.to - piece.from, 'cut');
      else this.#deliver(piece.bytes, 0, piece.bytes.length);
    }
    if (n > 0) waiting.splice(0, n);
  }

  /** Keeps what is new of a segment: those parts that neither were handed on nor wait already. */
  #keep(from: number, bytes: Uint8Array, offset: number, captured: number, length: number): void {
    let news = this.#keepPart(from, from + captured, bytes, offset);
    if (captured < length) news = this.#keepPart(from + captured, from + length, null, 0) || news;
    if (!news) this.repeated++;
  }

  #keepPart(from: number, to: number, bytes: Uint8Array | null, offset: number): boolean {
    const waiting = this.#waiting;
    let at = this.anchored ? Math.max(from, this.position) : from;
    let i = firstBehind(waiting, at);
    let news = false;
    while (at < to) {
      const next = waiting[i];
      if (next === undefined || at < next.from) {
        const stop = next === undefined ? to : Math.min(to, next.from);
        const piece: Piece = {
          from: at,
          to: stop,
          bytes: bytes === null ? null : bytes.slice(offset + at - from, offset + stop - from),
        };
        waiting.splice(i++, 0, piece);
        this.store.used += cost(piece);
        news = true;
        at = stop;
      } else {
        const stop = Math.min(to, next.to);
        if (next.bytes === null && bytes !== null) {
          // Bytes that an earlier capture of the segment was cut before, and that are there now.
          this.#fill(i, at, stop, bytes, offset + at - from);
          news = true;
        }
        at = stop;
        i = firstBehind(waiting, at);
      }
    }
    return news;
  }

  /** Replaces [from, to) of the missing piece `i` by bytes. */
  #fill(i: number, from: number, to: number, bytes: Uint8Array, offset: number): void {
    const old = this.#waiting[i]!;
    const parts: Piece[] = [];
    if (old.from < from) parts.push({ from: old.from, to: from, bytes: null });
    parts.push({ from, to, bytes: bytes.slice(offset, offset + to - from) });
    if (to < old.to) parts.push({ from: to, to: old.to, bytes: null });
    this.store.used -= cost(old);
    for (const part of parts) this.store.used += cost(part);
    this.#waiting.splice(i, 1, ...parts);
  }

  /** More waits than may: gives up holes until it fits. */
  #relieve(): void {
    while (this.#waiting.length > 0 && (this.#waiting.length > PIECES_MAX / 2 || this.store.used > STORE_MAX))
      this.skipHole();
  }

  /** Forgets where the stream was thought to begin. */
  #startOver(sequence: number, bytes: Uint8Array, offset: number, captured: number, length: number): void {
    this.anchored = false;
    this.#sequence = sequence;
    this.#keep(0, bytes, offset, captured, length);
  }

  /**
   * A segment that is nowhere near. One is damage or a stray; several in a row mean that the address pair has begun a
   * new stream whose beginning was not captured.
   */
  #stray(sequence: number, bytes: Uint8Array, offset: number, captured: number, length: number): void {
    if (++this.#strays < STRAYS_MAX) return;
    this.end();
    this.#strays = 0;
    this.#gap(0, 'lost');
    this.#sequence = sequence;
    this.#inOrder(this.position, bytes, offset, captured, length);
  }

  #rebase(origin: number): void {
    this.#sequence = (this.#sequence + origin - this.position) >>> 0;
    const shift = origin - this.position;
    this.position = 0;
    const kept: Piece[] = [];
    for (const piece of this.#waiting) {
      piece.from -= shift;
      piece.to -= shift;
      // Before the stream's first byte: a probe, or damage.
      if (piece.from < 0) this.store.used -= cost(piece);
      else kept.push(piece);
    }
    this.#waiting = kept;
  }
}

/** Why bytes are missing: no segment with them is in the capture, or the capture cut the segment. */
export type GapReason = 'lost' | 'cut';

/** Takes one direction's bytes in order. */
export interface StreamSink {
  /** `position`: offset of the first of these bytes in the stream. They are the assembler's and may not be kept. */
  data(position: number, bytes: Uint8Array, offset: number, length: number): void;
  gap(position: number, length: number, why: GapReason): void;
}

/** What waits in all directions together, bytes. */
export interface StoreBudget {
  used: number;
}

/** A run of bytes ahead of the cursor; null stands for bytes that were on the wire but not captured. */
interface Piece {
  from: number;
  to: number;
  bytes: Uint8Array | null;
}

/** Bounds: pieces per direction, and bytes over all directions. Far more than any window that TCP has open on one path. */
const PIECES_MAX = 8192;
const STORE_MAX = 32 << 20;
/** What one piece costs besides its bytes. */
const PIECE_COST = 200;
/** Retransmissions do not reach farther back than a large window; a window never reaches farther ahead (RFC 7323 §2.3: 2^30). */
const STRAY_BEHIND = 1 << 26;
const STRAY_AHEAD = 1 << 30;
/** That many segments in a row far off the stream make a new one. */
const STRAYS_MAX = 8;

function cost(piece: Piece): number {
  return PIECE_COST + (piece.bytes?.length ?? 0);
}

/** Index of the first piece that ends behind `at` (binary search; pieces are sorted and disjoint). */
function firstBehind(pieces: readonly Piece[], at: number): number {
  let low = 0;
  let high = pieces.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (pieces[middle]!.to <= at) low = middle + 1;
    else high = middle;
  }
  return low;
}
