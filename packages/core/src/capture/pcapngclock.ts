/**
 * Turns the 64-bit time stamps of one pcapng interface into seconds and nanoseconds.
 *
 * The unit is a negative power of ten (microseconds unless said otherwise) or, with the top bit set, of two
 * (draft-ietf-opsawg-pcapng §4.2, if_tsresol). A stamp has more bits than a JavaScript number holds, so the usual units are divided 16
 * bits at a time; all others take BigInt.
 */
export interface PacketClock {
  seconds: number;
  nanoseconds: number;
  /** Sets both from the upper and the lower half of a stamp. */
  read(high: number, low: number): void;
}

/**
 * @param resolution the if_tsresol byte
 * @param offset seconds to add (if_tsoffset)
 */
export function clockOf(resolution: number, offset: bigint): PacketClock {
  const power = resolution & 0x7f;
  if ((resolution & 0x80) === 0 && power <= 9) return new DecimalClock(10 ** power, Number(offset));
  return new AnyClock((resolution & 0x80) === 0 ? 10n ** BigInt(power) : 1n << BigInt(power), offset);
}

class DecimalClock implements PacketClock {
  seconds = 0;
  nanoseconds = 0;

  constructor(
    private readonly unitsPerSecond: number,
    private readonly offset: number,
  ) {}

  read(high: number, low: number): void {
    const d = this.unitsPerSecond;
    // Long division by a divisor below 2^32: every intermediate value stays below 2^48.
    let rest = high >>> 16;
    let quotient = Math.floor(rest / d);
    rest = (rest % d) * 65536 + (high & 0xffff);
    quotient = quotient * 65536 + Math.floor(rest / d);
    rest = (rest % d) * 65536 + (low >>> 16);
    quotient = quotient * 65536 + Math.floor(rest / d);
    rest = (rest % d) * 65536 + (low & 0xffff);
    quotient = quotient * 65536 + Math.floor(rest / d);
    this.seconds = quotient + this.offset;
    this.nanoseconds = (rest % d) * (1e9 / d);
  }
}

class AnyClock implements PacketClock {
  seconds = 0;
  nanoseconds = 0;

  constructor(
    private readonly unitsPerSecond: bigint,
    private readonly offset: bigint,
  ) {}

  read(high: number, low: number): void {
    const stamp = (BigInt(high) << 32n) | BigInt(low);
    this.seconds = Number(stamp / this.unitsPerSecond + this.offset);
    this.nanoseconds = Number(((stamp % this.unitsPerSecond) * 1_000_000_000n) / this.unitsPerSecond);
  }
}

/** Microseconds: what holds when an interface says nothing else. */
export const DEFAULT_RESOLUTION = 6;
