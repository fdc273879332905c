import { networkInterfaces } from 'node:os';
import type { Endpoint } from '../address/endpoint.js';
import { parseIp, parsePrefix } from '../address/ip.js';

/**
 * Which address of ours datagrams to an endpoint most likely leave from: one in a network that it is in as well, else the only one there
 * is. Node does not say, and what is shown of it in a capture may be a guess. Null when there is nothing to guess by.
 */
export function likelySource(remote: Endpoint): string | null {
  const target = parseIp(remote.address);
  const family = remote.family === 4 ? 'IPv4' : 'IPv6';
  const all = Object.values(networkInterfaces()).flatMap((list) => list ?? []);
  const mine = all.filter((address) => address.family === family && address.cidr !== null);
  const near = mine.find(({ cidr }) => target !== null && contains(cidr!, target));
  const others = mine.filter(({ internal }) => !internal);
  return near?.address ?? (others.length === 1 ? others[0]!.address : null);
}

function contains(cidr: string, address: Uint8Array): boolean {
  const prefix = parsePrefix(cidr);
  if (prefix === null || prefix.bytes.length !== address.length) return false;
  for (let bit = 0; bit < prefix.length; bit++) {
    const mask = 0x80 >> (bit & 7);
    if (((prefix.bytes[bit >> 3]! ^ address[bit >> 3]!) & mask) !== 0) return false;
  }
  return true;
}
