import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { payloadMax, representAsUdp } from '../../src/capture/represent.js';
import { IpView } from '../../src/capture/ipview.js';
import { concat, be16 } from './frames.js';

/** One's complement sum as RFC 1071 tells it, one word at a time: 0 over a correct header. */
function residue(bytes: Uint8Array): number {
  let sum = 0;
  for (let i = 0; i < bytes.length; i += 2) {
    sum += bytes[i]! * 256 + (bytes[i + 1] ?? 0);
    if (sum > 0xffff) sum -= 0xffff;
  }
  return 0xffff - sum;
}

const FOUR = { source: '10.99.0.1', destination: '10.99.0.2', sourcePort: 40000, destinationPort: 51820 };
const SIX = { source: 'fd99::1', destination: 'fd99::2', sourcePort: 40000, destinationPort: 51820 };

describe('messages as UDP packets', () => {
  test.each([
    ['IPv4', FOUR, 20],
    ['IPv6', SIX, 40],
  ])('%s: headers, lengths and checksums are as on the wire', (_name, ends, header) => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (payload) => {
        const packet = representAsUdp(ends, payload)!;
        const view = new IpView();
        expect(view.parse(packet, 0, packet.length)).toBe(true);
        if (header === 20) expect(residue(packet.slice(0, 20))).toBe(0);
        const addresses = packet.slice(view.sourceAddress, view.sourceAddress + 2 * view.addressLength);
        expect(residue(concat(addresses, be16(17), be16(8 + payload.length), packet.slice(header)))).toBe(0);
        expect(view.parseUdp(packet)).toBe(true);
        expect([view.sourcePort, view.destinationPort]).toEqual([40000, 51820]);
        expect(packet.slice(view.payloadOffset, view.payloadOffset + view.payloadLength)).toEqual(payload);
        // A checksum of zero would say that there is none (RFC 768).
        expect((packet[header + 6]! << 8) | packet[header + 7]!).not.toBe(0);
      }),
    );
  });

  test('a checksum that comes out as zero is sent as all ones (RFC 768)', () => {
    const checksum = (packet: Uint8Array) => packet.slice(26, 28);
    const word = checksum(representAsUdp(FOUR, new Uint8Array(2))!);
    expect([...checksum(representAsUdp(FOUR, word)!)]).toEqual([0xff, 0xff]);
  });

  test('the longest message that fits, and one byte more', () => {
    for (const [ends, family] of [
      [FOUR, 4],
      [SIX, 6],
    ] as const) {
      const payload = new Uint8Array(payloadMax(family));
      expect(representAsUdp(ends, payload)).not.toBeNull();
      expect(representAsUdp(ends, new Uint8Array(payload.length + 1))).toBeNull();
    }
  });

  test('a message that is cut states its full length', () => {
    const packet = representAsUdp(FOUR, new Uint8Array(20), 500)!;
    expect(packet).toHaveLength(48);
    expect([(packet[2]! << 8) | packet[3]!, (packet[24]! << 8) | packet[25]!]).toEqual([528, 508]);
    expect([packet[26], packet[27]]).toEqual([0, 0]);
  });

  test('addresses of two families cannot be', () => {
    expect(representAsUdp({ ...FOUR, destination: 'fd99::2' }, new Uint8Array(32))).toBeNull();
    expect(representAsUdp({ ...FOUR, source: 'nonsense' }, new Uint8Array(32))).toBeNull();
  });
});
