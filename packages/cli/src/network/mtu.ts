/**
 * The MTU of a tunnel whose configuration does not say one.
 *
 * As wg-quick(8) does it: what the way to the peers' endpoints takes, less what is around an inner packet. What that is depends on the
 * carrier. Over UDP wg-quick takes off 80 bytes, room for IPv6: 40 of IPv6, 8 of UDP, 32 of a data message (16 in front of the
 * packet, 16 of tag behind). Over TCP it is the IP header of the address that is dialled (20 or 40), 20 of TCP and 12 of its
 * timestamps (RFC 7323 §3.2), 8 of the record's header and 32 of the message, so that a full packet alone is one segment: on a link
 * of 1500 bytes 1408 over IPv4 and 1388 over IPv6. A stream carries larger packets as well, in two segments.
 *
 * Where wg-quick takes the largest of several ways, the smallest is taken here, since one MTU is for all peers. Without any endpoint the default
 * route counts, and IPv6.
 */
import type { Endpoint } from '@wirestream/core/address/endpoint';
import type { Config } from '@wirestream/core/config/config';
import { MTU_MAX, MTU_MIN } from '@wirestream/core/config/values';
import type { Transport } from '@wirestream/core/device/settings';
import type { Shell } from './shell.js';

/** Of Ethernet, and what wg-quick(8) supposes where there is no route. */
const ETHERNET = 1500;
const DATA_MESSAGE = 32;
const RECORD_HEADER = 8;
const TCP_HEADER = 20;
const TCP_TIMESTAMPS = 12;
const IP_HEADER = { 4: 20, 6: 40 } as const;
const UDP_OVERHEAD = IP_HEADER[6] + 8 + DATA_MESSAGE;

/** The default of wireguard-go and the kernel, too. */
export const DEFAULT_MTU = ETHERNET - UDP_OVERHEAD;

/** Bytes around an inner packet. */
export function overhead(transport: Transport, family: 4 | 6): number {
  return transport === 'udp'
    ? UDP_OVERHEAD
    : IP_HEADER[family] + TCP_HEADER + TCP_TIMESTAMPS + RECORD_HEADER + DATA_MESSAGE;
}

/**
 * @param endpoints of the configuration's peers, null where there is none
 * @param mark of the tunnel's own packets; 0: none
 */
export async function chooseMtu(
  config: Config,
  endpoints: readonly (Endpoint | null)[],
  mark: number,
  shell: Pick<Shell, 'query'>,
): Promise<number> {
  const fallback = config.interface.transport ?? 'udp';
  const rooms: number[] = [];
  for (const [i, peer] of config.peers.entries()) {
    const endpoint = endpoints[i] ?? null;
    if (endpoint === null) continue;
    const marked = mark === 0 ? [] : ['mark', String(mark)];
    const path = await pathMtu(['ip', `-${endpoint.family}`, '-o', 'route', 'get', endpoint.address, ...marked], shell);
    if (path !== null) rooms.push(path - overhead(peer.transport ?? fallback, endpoint.family));
  }
  if (rooms.length === 0) {
    const transports = config.peers.length === 0 ? [fallback] : config.peers.map((peer) => peer.transport ?? fallback);
    const path =
      (await pathMtu(['ip', '-4', '-o', 'route', 'show', 'default'], shell)) ??
      (await pathMtu(['ip', '-6', '-o', 'route', 'show', 'default'], shell)) ??
      ETHERNET;
    rooms.push(path - Math.max(...transports.map((transport) => overhead(transport, 6))));
  }
  return Math.max(MTU_MIN, Math.min(MTU_MAX, ...rooms));
}

/** What the first route that `query` gives takes: its own MTU, else its interface's. Null when there is none. */
async function pathMtu(query: readonly string[], shell: Pick<Shell, 'query'>): Promise<number | null> {
  const route = ((await shell.query(query)) ?? '').split('\n')[0]!;
  const own = /\bmtu (?:lock )?([0-9]+)/.exec(route)?.[1];
  if (own !== undefined) return Number(own);
  const dev = /\bdev (\S+)/.exec(route)?.[1];
  if (dev === undefined) return null;
  const mtu = /\bmtu ([0-9]+)/.exec((await shell.query(['ip', '-o', 'link', 'show', 'dev', dev])) ?? '')?.[1];
  return mtu === undefined ? null : Number(mtu);
}
