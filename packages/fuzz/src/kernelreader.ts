/**
 * The kernel TCP module's receiver as far as framing goes, byte by byte, and as plainly as it can be said (DESIGN 3; KERNEL.md 13 and 18).
 *
 * Eight bytes are a header when the checksum over length, type and flags matches, the type is 0, no flag but bit 0 is set, and the length leaves
 * room for the smallest message and is no longer than 65535 + 8. At a header the receiver waits for the whole record and takes it, whatever is
 * in it. At anything else it moves on by one byte. It never looks back: what a false header claims is swallowed.
 */

export interface KernelRecord {
  /** where the record begins */
  readonly at: number;
  /** of the whole record */
  readonly length: number;
}

/** The records that the kernel's receiver takes out of a stream. */
export function kernelRecords(stream: Uint8Array): KernelRecord[] {
  const records: KernelRecord[] = [];
  let at = 0;
  while (at + 8 <= stream.length) {
    const length = kernelLength(stream, at);
    if (length === null) {
      at += 1;
      continue;
    }
    if (at + length > stream.length) break;
    records.push({ at, length });
    at += length;
  }
  return records;
}

/** The length that a valid header at `at` states, or null. */
export function kernelLength(stream: Uint8Array, at: number): number | null {
  let length = 0;
  for (let i = 0; i < 4; i++) length = length * 256 + stream[at + i]!;
  const type = stream[at + 4]!;
  const flags = stream[at + 5]!;
  const checksum = stream[at + 6]! * 256 + stream[at + 7]!;
  let c = Math.floor(length / 65_536) % 65_536;
  c = (c ^ (length % 65_536)) >>> 0;
  c = (c ^ (flags * 256 + type)) >>> 0;
  for (let i = 0; i < 5; i++) c = ((c * 2) % 65_536) + (c >= 32_768 ? 1 : 0);
  c = (c ^ 0xa5a5) >>> 0;
  if (c !== checksum) return null;
  if (type !== 0) return null;
  if (flags !== 0 && flags !== 1) return null;
  const smallest = 8 + (flags === 1 ? 4 : 0) + 32;
  if (length < smallest || length > 65_535 + 8) return null;
  return length;
}
