import { describe, expect, test } from '@jest/globals';
import { describeInner, innerLength } from '../../src/capture/inner.js';
import { ENDS, be16, concat, ip, noise, tcp, udp } from './frames.js';

const V6 = { source: 'fd00::1', destination: 'fd00::2', sourcePort: 1234, destinationPort: 53 };

describe('packets inside', () => {
  const shape = (packet: Uint8Array) => describeInner(concat(packet, new Uint8Array(7)), 0, packet.length + 7);

  test('TCP, UDP, ICMP, fragments, and what is no IP', () => {
    expect(shape(tcp(ENDS, { sequence: 1, flags: 0x12, payload: noise(5) }))).toMatchObject({
      version: 4,
      length: 45,
      protocol: 'tcp',
      sourcePort: 40000,
      destinationPort: 51820,
      info: 'SYN ACK 5 bytes',
    });
    expect(shape(udp(V6, noise(30)))).toEqual({
      version: 6,
      length: 78,
      protocol: 'udp',
      source: 'fd00::1',
      destination: 'fd00::2',
      sourcePort: 1234,
      destinationPort: 53,
      info: '30 bytes',
    });
    expect(shape(ip(ENDS, 1, concat(Uint8Array.of(0, 0, 0, 0), be16(3), be16(4)))).info).toBe('echo reply 3/4');
    expect(shape(ip(ENDS, 1, Uint8Array.of(3, 4, 0, 0, 0, 0, 0, 0))).info).toBe('destination unreachable, code 4');
    expect(shape(ip(V6, 58, concat(Uint8Array.of(128, 0, 0, 0), be16(3), be16(4)))).info).toBe('echo request 3/4');
    expect(shape(ip(V6, 58, Uint8Array.of(2, 0, 0, 0, 0, 0, 5, 0))).info).toBe('packet too big, MTU 1280');
    expect(shape(ip(ENDS, 1, noise(32), { identification: 9, fragment: 0x2005 })).info).toBe(
      'fragment of 9 at 40, more follow',
    );
    expect(shape(ip(ENDS, 47, noise(32)))).toMatchObject({ protocol: '47', info: '32 bytes' });
    expect(shape(noise(40).fill(0x10))).toMatchObject({ version: 0, info: 'no IP packet (47 bytes)' });
  });

  test('a length that says more than there is, or less than a header, is no packet', () => {
    const packet = tcp(ENDS, { sequence: 1 });
    expect(innerLength(packet, 0, packet.length)).toBe(40);
    expect(innerLength(packet, 0, 39)).toBe(0);
    packet.set(be16(19), 2);
    expect(innerLength(packet, 0, packet.length)).toBe(0);
    expect(innerLength(packet, 0, 10)).toBe(0);
  });
});
