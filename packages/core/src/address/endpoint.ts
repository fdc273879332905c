import { formatIp, isMappedIpv4, parseIp } from './ip.js';

/** A numeric IP address and a port. `address` is in canonical text, so two endpoints are the same when `endpointKey`s are. */
export interface Endpoint {
  readonly family: 4 | 6;
  readonly address: string;
  readonly port: number;
  /** interface index of a link-local IPv6 address, else absent */
  readonly scope?: number;
}

/**
 * The endpoint of 4 or 16 address bytes. IPv4-mapped IPv6 addresses (what a dual-stack socket reports) become IPv4.
 */
export function endpointOf(bytes: Uint8Array, port: number, scope = 0): Endpoint {
  const plain = bytes.length === 16 && isMappedIpv4(bytes) ? bytes.subarray(12) : bytes;
  const family = plain.length === 4 ? 4 : 6;
  const base = { family, address: formatIp(plain), port } as const;
  return scope !== 0 && family === 6 ? { ...base, scope } : base;
}

/** `1.2.3.4:5` or `[fd00::1%3]:5`; null when it is neither, or the port is not 1–65535. Names are not resolved here. */
export function parseEndpoint(text: string): Endpoint | null {
  const match = /^(?:\[([^\]%]+)(?:%([0-9]+))?\]|([0-9.]+)):([0-9]{1,5})$/.exec(text);
  if (match === null) return null;
  const bytes = parseIp(match[1] ?? match[3]!);
  const port = Number(match[4]);
  if (bytes === null || port < 1 || port > 65535 || (match[1] !== undefined) !== (bytes.length === 16)) return null;
  return endpointOf(bytes, port, match[2] === undefined ? 0 : Number(match[2]));
}

export function formatEndpoint(endpoint: Endpoint): string {
  if (endpoint.family === 4) return `${endpoint.address}:${endpoint.port}`;
  const zone = endpoint.scope === undefined ? '' : `%${endpoint.scope}`;
  return `[${endpoint.address}${zone}]:${endpoint.port}`;
}

export const endpointKey = formatEndpoint;

export function sameEndpoint(a: Endpoint, b: Endpoint): boolean {
  return a.port === b.port && a.address === b.address && a.scope === b.scope;
}

/**
 * What a stranger is counted by: its IPv4 address, or its IPv6 /64, since whoever has one address of a /64 usually has
 * all of them (kernel ratelimiter.c does the same).
 */
export function sourceKey(endpoint: Endpoint): string {
  if (endpoint.family === 4) return endpoint.address;
  const bytes = parseIp(endpoint.address)!;
  return formatIp(bytes.fill(0, 8)) + '/64';
}
