/** As much of the classic pcap format as comparing two captures takes. */

const MAGIC_MICROSECONDS = 0xa1b2c3d4;

/** Packets as they lie in a capture that tcpdump or `wirestream decode` wrote on this machine; a last one that is cut off is left out. */
export function packetsOf(pcap: Buffer): { readonly seconds: number; readonly bytes: Buffer }[] {
  if (pcap.length < 24) return [];
  const isLittle = pcap.readUInt32LE(0) === MAGIC_MICROSECONDS || pcap.readUInt32LE(0) === 0xa1b23c4d;
  const isNano = (isLittle ? pcap.readUInt32LE(0) : pcap.readUInt32BE(0)) !== MAGIC_MICROSECONDS;
  const word = (at: number): number => (isLittle ? pcap.readUInt32LE(at) : pcap.readUInt32BE(at));
  const packets = [];
  for (let at = 24; at + 16 <= pcap.length;) {
    const end = at + 16 + word(at + 8);
    if (end > pcap.length) break;
    packets.push({ seconds: word(at) + word(at + 4) / (isNano ? 1e9 : 1e6), bytes: pcap.subarray(at + 16, end) });
    at = end;
  }
  return packets;
}

/** How many of `a` are not among `b`, counting repetitions. */
export function surplus(a: readonly Buffer[], b: readonly Buffer[]): number {
  const left = new Map<string, number>();
  for (const bytes of b) left.set(bytes.toString('latin1'), (left.get(bytes.toString('latin1')) ?? 0) + 1);
  let over = 0;
  for (const bytes of a) {
    const key = bytes.toString('latin1');
    const n = left.get(key) ?? 0;
    if (n === 0) over++;
    else left.set(key, n - 1);
  }
  return over;
}
