import { endpointOf, type Endpoint } from '../address/endpoint.js';
import { parseIp } from '../address/ip.js';
import type { Slab } from '../slab/slab.js';

/**
 * Socket addresses in native memory (struct sockaddr_in and sockaddr_in6, netinet/in.h): family in host order, port and
 * address in network order, and for IPv6 the interface index of link-local addresses.
 */

/** Address families (bits/socket.h). */
export const AF_INET = 2;
export const AF_INET6 = 10;
/** Bytes of a sockaddr_in and a sockaddr_in6; room for either is the latter's. */
export const SOCKADDR_IN = 16;
export const SOCKADDR_IN6 = 28;

export function familyOf(endpoint: Endpoint): number {
  return endpoint.family === 4 ? AF_INET : AF_INET6;
}

/**
 * Lays `endpoint` at slab[offset], where there must be room for SOCKADDR_IN6 bytes.
 * @returns the bytes used
 * @throws RangeError when `endpoint.address` is not an address of its family
 */
export function writeSockaddr(slab: Slab, offset: number, endpoint: Endpoint): number {
  const address = parseIp(endpoint.address);
  if (address === null || address.length !== (endpoint.family === 4 ? 4 : 16)) {
    throw new RangeError(`not an IPv${endpoint.family} address: ${endpoint.address}`);
  }
  const { bytes, view } = slab;
  bytes.fill(0, offset, offset + SOCKADDR_IN6);
  view.setUint16(offset, familyOf(endpoint), true);
  view.setUint16(offset + 2, endpoint.port, false);
  if (endpoint.family === 4) {
    bytes.set(address, offset + 4);
    return SOCKADDR_IN;
  }
  bytes.set(address, offset + 8);
  view.setUint32(offset + 24, endpoint.scope ?? 0, true);
  return SOCKADDR_IN6;
}

/** The endpoint at slab[offset]; null when it is of another family. The scope is kept for link-local addresses only. */
export function readSockaddr(slab: Slab, offset: number): Endpoint | null {
  const { bytes, view } = slab;
  const family = view.getUint16(offset, true);
  const port = view.getUint16(offset + 2, false);
  if (family === AF_INET) return endpointOf(bytes.slice(offset + 4, offset + 8), port);
  if (family !== AF_INET6) return null;
  const address = bytes.slice(offset + 8, offset + 24);
  const linkLocal = address[0] === 0xfe && (address[1]! & 0xc0) === 0x80;
  return endpointOf(address, port, linkLocal ? view.getUint32(offset + 24, true) : 0);
}
