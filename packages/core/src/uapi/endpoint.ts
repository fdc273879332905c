import { endpointOf, type Endpoint } from '../address/endpoint.js';
import { parseIp } from '../address/ip.js';

/** The index of the network interface that an IPv6 zone (`%eth0`) names; 0 when there is none. */
export type ZoneIndex = (zone: string) => number;

const ENDPOINT = /^(?:\[([^\]%]+)(?:%([^\]]+))?\]|([0-9.]+)):([0-9]{1,5})$/;

/** `1.2.3.4:5` or `[fe80::1%eth0]:5`, the zone by name or number. Null when it is not one, or of no interface. */
export function parseZonedEndpoint(text: string, zone: ZoneIndex): Endpoint | null {
  const match = ENDPOINT.exec(text);
  const bytes = match === null ? null : parseIp(match[1] ?? match[3]!);
  const port = match === null ? 0 : Number(match[4]);
  if (match === null || bytes === null || port < 1 || port > 0xffff) return null;
  if ((match[1] !== undefined) !== (bytes.length === 16)) return null;
  if (match[2] === undefined) return endpointOf(bytes, port);
  const scope = /^[0-9]{1,9}$/.test(match[2]) ? Number(match[2]) : zone(match[2]);
  return scope === 0 ? null : endpointOf(bytes, port, scope);
}
