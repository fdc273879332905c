import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { NOT_IP, UNKNOWN_LINK, findIp } from '../../src/capture/link.js';
import { IpView } from '../../src/capture/ipview.js';
import { ENDS, WRAP, be16, concat, ip, noise, tcp, udp, type Ends } from './frames.js';

const V6: Ends = { source: '2001:db8::1', destination: '2001:db8::2', sourcePort: 1, destinationPort: 65535 };

/** @param wire length on the wire */
function parse(packet: Uint8Array, wire = packet.length): IpView | null {
  const view = new IpView();
  return view.parse(packet, 0, packet.length, wire) ? view : null;
}

describe('link layers', () => {
  test.each(Object.keys(WRAP))('%s: the IP packet is found', (name) => {
    const { linkType, wrap } = WRAP[name]!;
    for (const ends of [ENDS, V6]) {
      const packet = udp(ends, noise(30));
      const frame = concat(noise(5), wrap(packet));
      const at = findIp(linkType, frame, 5, frame.length);
      expect(at).toBeGreaterThanOrEqual(5);
      expect(frame.slice(at, at + packet.length)).toEqual(packet);
    }
  });

  test.each(Object.keys(WRAP))('%s: what is cut off or not IP is not taken for IP', (name) => {
    const { linkType, wrap } = WRAP[name]!;
    const frame = wrap(udp(ENDS, noise(30)));
    const header = frame.length - udp(ENDS, noise(30)).length - (name.includes('padded') ? 46 : 0);
    for (let end = 0; end < header; end++) expect(findIp(linkType, frame, 0, end)).toBe(NOT_IP);
  });

  test('ARP, and link types that are not known', () => {
    expect(findIp(1, concat(new Uint8Array(12), be16(0x0806), noise(28)), 0, 42)).toBe(NOT_IP);
    expect(findIp(105, noise(60), 0, 60)).toBe(UNKNOWN_LINK);
  });
});

describe('IP and what is in it', () => {
  test('TCP over IPv4 and IPv6', () => {
    for (const ends of [ENDS, V6]) {
      const packet = tcp(ends, { sequence: 0xfffffff0, acknowledgement: 0x80000001, flags: 0x12, payload: noise(9) });
      const view = parse(concat(packet, noise(6)))!;
      expect(view.parseTcp(packet)).toBe(true);
      const { sourcePort, destinationPort, sequence, acknowledgement, flags, payloadLength, captured } = view;
      expect({ sourcePort, destinationPort, sequence, acknowledgement, flags, payloadLength, captured }).toEqual({
        sourcePort: ends.sourcePort,
        destinationPort: ends.destinationPort,
        sequence: 0xfffffff0,
        acknowledgement: 0x80000001,
        flags: 0x12,
        payloadLength: 9,
        captured: 9,
      });
      expect(packet.slice(view.payloadOffset)).toEqual(noise(9));
    }
  });

  test('TCP options belong to the header', () => {
    const packet = tcp(ENDS, { sequence: 1, payload: noise(20) });
    packet[20 + 12] = 0x80;
    const view = parse(packet)!;
    expect(view.parseTcp(packet)).toBe(true);
    expect(view.payloadLength).toBe(8);
    const cut = parse(packet.slice(0, 45), packet.length)!;
    expect(cut.parseTcp(packet)).toBe(true);
    expect([cut.payloadLength, cut.captured]).toEqual([8, 0]);
    packet[20 + 12] = 0x40;
    expect(parse(packet)!.parseTcp(packet)).toBe(false);
  });

  test('a packet that the capture cut says how much is missing', () => {
    const packet = tcp(ENDS, { sequence: 1, payload: noise(100) });
    const view = parse(packet.slice(0, 80), packet.length)!;
    expect(view.parseTcp(packet)).toBe(true);
    expect([view.payloadLength, view.captured]).toEqual([100, 40]);
    expect(parse(packet.slice(0, 39), packet.length)!.parseTcp(packet)).toBe(false);
    expect(parse(packet.slice(0, 19))).toBeNull();
  });

  test('a length that says more than there was on the wire is damaged: what there is counts', () => {
    for (const ends of [ENDS, V6]) {
      const packet = tcp(ends, { sequence: 1, payload: noise(100) });
      packet.set(be16(9000), ends === ENDS ? 2 : 4);
      const view = parse(packet)!;
      expect(view.parseTcp(packet)).toBe(true);
      expect([view.payloadLength, view.captured]).toEqual([100, 100]);
    }
  });

  test('a total length of zero, as with segmentation offload, means all that is there', () => {
    for (const ends of [ENDS, V6]) {
      const packet = tcp(ends, { sequence: 1, payload: noise(100) });
      packet.set([0, 0], ends === ENDS ? 2 : 4);
      const view = parse(packet)!;
      expect(view.parseTcp(packet)).toBe(true);
      expect([view.payloadLength, view.captured]).toEqual([100, 100]);
    }
  });

  test('UDP: its own length counts, and a length of zero means the rest', () => {
    const packet = udp(ENDS, noise(32));
    packet.set(be16(8 + 20), 24);
    let view = parse(packet)!;
    expect(view.parseUdp(packet)).toBe(true);
    expect(view.payloadLength).toBe(20);
    packet.set(be16(0), 24);
    view = parse(packet)!;
    expect(view.parseUdp(packet)).toBe(true);
    expect(view.payloadLength).toBe(32);
    packet.set(be16(7), 24);
    expect(parse(packet)!.parseUdp(packet)).toBe(false);
    packet.set(be16(300), 24);
    expect(parse(packet)!.parseUdp(packet)).toBe(false);
  });

  test('IPv6 extension headers are stepped over', () => {
    const segment = tcp(V6, { sequence: 7, payload: noise(3) }).slice(40);
    const headers = concat(
      Uint8Array.of(60, 1, ...new Array<number>(14).fill(0)), // hop by hop, 16 bytes
      Uint8Array.of(43, 0, ...new Array<number>(6).fill(0)), // destination options, 8
      Uint8Array.of(44, 0, ...new Array<number>(6).fill(0)), // routing, 8
      Uint8Array.of(51, 0, 0, 0, 1, 2, 3, 4), // atomic fragment
      Uint8Array.of(6, 4, ...new Array<number>(22).fill(0)), // authentication, (4 + 2) * 4
    );
    const packet = ip(V6, 0, concat(headers, segment));
    const view = parse(packet)!;
    expect(view.protocol).toBe(6);
    expect(view.isFragment).toBe(false);
    expect(view.parseTcp(packet)).toBe(true);
    expect([view.sequence, view.payloadLength]).toEqual([7, 3]);
  });

  test('fragments of both families say where they belong', () => {
    const four = parse(ip(ENDS, 17, noise(24), { identification: 0xabcd, fragment: 0x2003 }))!;
    expect([four.isFragment, four.moreFragments, four.fragmentOffset, four.identification]).toEqual([
      true,
      true,
      24,
      0xabcd,
    ]);
    const six = parse(ip(V6, 44, concat(Uint8Array.of(17, 0, 0, 0x18, 0xde, 0xad, 0xbe, 0xef), noise(5))))!;
    expect([six.isFragment, six.moreFragments, six.fragmentOffset, six.identification]).toEqual([
      true,
      false,
      24,
      0xdeadbeef,
    ]);
    expect([six.protocol, six.payloadLength]).toEqual([17, 5]);
  });

  test('noise is never read outside its bounds', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 120 }), fc.constantFrom(0x45, 0x4f, 0x60, 0), (bytes, first) => {
        if (bytes.length > 0 && first !== 0) bytes[0] = first;
        const view = parse(bytes);
        if (view === null) return;
        expect(view.captured).toBeGreaterThanOrEqual(0);
        expect(view.captured).toBeLessThanOrEqual(view.payloadLength);
        expect(view.payloadOffset + view.captured).toBeLessThanOrEqual(bytes.length);
        const isTcp = view.parseTcp(bytes);
        if (!isTcp && !view.parseUdp(bytes)) return;
        expect(view.captured).toBeGreaterThanOrEqual(0);
        expect(view.payloadOffset + view.captured).toBeLessThanOrEqual(bytes.length);
      }),
      { numRuns: 500 },
    );
  });
});
