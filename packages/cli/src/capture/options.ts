import { parseKey } from '@wirestream/core/config/key';
import { WirestreamError } from '@wirestream/core/device/errors';

/** Files of limited size, the oldest of which makes room. */
export interface RingLimits {
  readonly files: number;
  /** bytes */
  readonly size: number;
}

/** Smaller files would hold little more than their own headers, bytes. */
const SIZE_MIN = 64_000;
const UNITS: Readonly<Record<string, number>> = { '': 1, k: 1e3, m: 1e6, g: 1e9 };

/** `10x50MB`. @throws WirestreamError usage */
export function parseRing(text: string): RingLimits {
  const match = /^([0-9]{1,6})x([0-9]{1,9})(k|m|g)?b?$/i.exec(text);
  const files = Number(match?.[1] ?? 0);
  const size = Number(match?.[2] ?? 0) * UNITS[(match?.[3] ?? '').toLowerCase()]!;
  if (files < 2 || size < SIZE_MIN) {
    throw new WirestreamError(
      'usage',
      `--ring ${text}: a number of files and the size of each is wanted, at least 2 files of 64kB`,
      'for example --ring 10x50MB',
    );
  }
  return { files, size };
}

/** Seconds: `90`, `90s`, `5m`, `2h`. @throws WirestreamError usage */
export function parseDuration(text: string): number {
  const match = /^([0-9]+(?:\.[0-9]+)?)(s|m|h)?$/.exec(text);
  const seconds =
    match === null ? 0 : Number(match[1]) * { s: 1, m: 60, h: 3600 }[(match[2] ?? 's') as 's' | 'm' | 'h'];
  if (!(seconds > 0 && seconds <= 2e6)) {
    throw new WirestreamError('usage', `--duration ${text}: no time`, 'for example 30s, 5m or 2h');
  }
  return seconds;
}

/**
 * A peer by its public key or the first characters of it.
 * @param known public keys in base64
 * @throws WirestreamError usage
 */
export function findPeer(text: string, known: readonly string[]): Uint8Array {
  const found = known.filter((key) => key.startsWith(text));
  if (found.length === 1) return parseKey(found[0]!)!;
  const what = found.length === 0 ? 'no peer has a public key that begins so' : `${found.length} peers' keys begin so`;
  throw new WirestreamError('usage', `--peer ${text}: ${what}`, 'wirestream show NAME peers lists them');
}
