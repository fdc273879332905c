import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { endpointOf, parseEndpoint } from '../../src/address/endpoint.js';
import { readSockaddr, SOCKADDR_IN, SOCKADDR_IN6, writeSockaddr } from '../../src/linux/sockaddr.js';
import { Slab } from '../../src/slab/slab.js';

describe('socket addresses', () => {
  test('IPv4: the layout of struct sockaddr_in', () => {
    const slab = Slab.plain(4096);
    slab.bytes.fill(0xee);
    expect(writeSockaddr(slab, 8, parseEndpoint('192.0.2.7:51820')!)).toBe(SOCKADDR_IN);
    expect([...slab.bytes.subarray(8, 8 + SOCKADDR_IN)]).toEqual([
      2, 0, 0xca, 0x6c, 192, 0, 2, 7, 0, 0, 0, 0, 0, 0, 0, 0,
    ]);
    expect(slab.bytes[7]).toBe(0xee);
  });

  test('IPv6: the layout of struct sockaddr_in6, scope in host order', () => {
    const slab = Slab.plain(4096);
    expect(writeSockaddr(slab, 0, parseEndpoint('[fe80::1%3]:258')!)).toBe(SOCKADDR_IN6);
    expect([...slab.bytes.subarray(0, SOCKADDR_IN6)]).toEqual([
      10, 0, 1, 2, 0, 0, 0, 0, 0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 3, 0, 0, 0,
    ]);
  });

  test('what is written is read back', () => {
    const slab = Slab.plain(4096);
    const bytes = fc.oneof(
      fc.uint8Array({ minLength: 4, maxLength: 4 }),
      fc.uint8Array({ minLength: 16, maxLength: 16 }),
    );
    fc.assert(
      fc.property(bytes, fc.integer({ min: 0, max: 65535 }), fc.nat(4000), (address, port, offset) => {
        const endpoint = endpointOf(address, port);
        writeSockaddr(slab, offset, endpoint);
        expect(readSockaddr(slab, offset)).toEqual(endpoint);
      }),
      { numRuns: 200 },
    );
  });

  test('a mapped IPv4 address is that IPv4 address; a scope counts only on link-local addresses; others are null', () => {
    const slab = Slab.plain(4096);
    writeSockaddr(slab, 0, { family: 6, address: '::ffff:c000:207', port: 9 });
    expect(readSockaddr(slab, 0)).toEqual({ family: 4, address: '192.0.2.7', port: 9 });
    writeSockaddr(slab, 0, { family: 6, address: '2001:db8::1', port: 9, scope: 4 });
    expect(readSockaddr(slab, 0)).toEqual({ family: 6, address: '2001:db8::1', port: 9 });
    slab.view.setUint16(0, 1, true);
    expect(readSockaddr(slab, 0)).toBeNull();
  });

  test('what is not an address of its family throws', () => {
    const slab = Slab.plain(4096);
    expect(() => writeSockaddr(slab, 0, { family: 4, address: 'fd00::1', port: 1 })).toThrow(RangeError);
    expect(() => writeSockaddr(slab, 0, { family: 6, address: 'host', port: 1 })).toThrow(RangeError);
  });
});
