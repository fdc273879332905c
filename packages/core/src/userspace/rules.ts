import { formatIp, isMappedIpv4, parseIp, parsePrefix, type Prefix } from '../address/ip.js';
import { WirestreamError } from '../device/errors.js';

/** What peers may reach: a range of addresses and a range of ports. */
export interface AllowRule {
  /** null for every address */
  readonly prefix: Prefix | null;
  readonly firstPort: number;
  readonly lastPort: number;
}

/** Everything: what `--exit` stands for. */
export const ALLOW_ALL: AllowRule = { prefix: null, firstPort: 1, lastPort: 65_535 };

const HINT = 'write it as 127.0.0.1:8080, 10.0.0.0/8:*, [fd00::1]:80-90, [fd00::/8]:443 or *:443';

/**
 * `ADDRESS:PORTS`, where ADDRESS is an address, a prefix (IPv6 in brackets) or *, and PORTS a port, a range FIRST-LAST or *.
 * @throws WirestreamError bad-allow
 */
export function parseAllow(text: string): AllowRule {
  const match = /^(?:\[([^\]]+)\](\/[0-9]+)?|([^[\]:]+)):([^:]+)$/.exec(text.trim());
  if (match === null) throw bad(text, 'is not ADDRESS:PORTS');
  const where = match[3] ?? match[1]! + (match[2] ?? '');
  const ports = parsePorts(match[4]!);
  if (ports === null) throw bad(text, `has no port, range of ports or * behind the last colon`);
  if (where === '*') return { prefix: null, ...ports };
  const prefix = parsePrefix(where);
  if (prefix === null || (prefix.bytes.length === 16) !== (match[1] !== undefined)) {
    throw bad(text, `'${where}' is neither an address nor a prefix`);
  }
  return { prefix, ...ports };
}

function parsePorts(text: string): { firstPort: number; lastPort: number } | null {
  if (text === '*') return { firstPort: 1, lastPort: 65_535 };
  const match = /^([0-9]{1,5})(?:-([0-9]{1,5}))?$/.exec(text);
  if (match === null) return null;
  const firstPort = Number(match[1]);
  const lastPort = Number(match[2] ?? match[1]);
  return firstPort >= 1 && firstPort <= lastPort && lastPort <= 65_535 ? { firstPort, lastPort } : null;
}

function bad(text: string, why: string): WirestreamError {
  return new WirestreamError('bad-allow', `--allow ${text}: ${why}`, HINT);
}

export function formatAllow(rule: AllowRule): string {
  const { prefix, firstPort, lastPort } = rule;
  let where = '*';
  if (prefix !== null) {
    const whole = prefix.length === prefix.bytes.length * 8;
    where = whole ? formatIp(prefix.bytes) : `${formatIp(prefix.bytes)}/${prefix.length}`;
    if (prefix.bytes.length === 16) where = `[${where}]`;
  }
  if (firstPort === 1 && lastPort === 65_535) return `${where}:*`;
  return firstPort === lastPort ? `${where}:${firstPort}` : `${where}:${firstPort}-${lastPort}`;
}

export function allows(rules: readonly AllowRule[], address: Uint8Array, port: number): boolean {
  return rules.some(
    (rule) =>
      port >= rule.firstPort && port <= rule.lastPort && (rule.prefix === null || contains(rule.prefix, address)),
  );
}

/** Whether any port of the address may be reached: then it may be pinged. */
export function allowsHost(rules: readonly AllowRule[], address: Uint8Array): boolean {
  return rules.some((rule) => rule.prefix === null || contains(rule.prefix, address));
}

/** Whether a prefix has the address; one of the other family it never has. */
export function contains(prefix: Prefix, address: Uint8Array): boolean {
  if (prefix.bytes.length !== address.length) return false;
  for (let bit = 0; bit < prefix.length; bit += 8) {
    const keep = Math.min(8, prefix.length - bit);
    const difference = (prefix.bytes[bit >> 3]! ^ address[bit >> 3]!) & (0xff00 >> keep) & 0xff;
    if (difference !== 0) return false;
  }
  return true;
}

/**
 * Whether a packet to this address has no business in a tunnel: no network may carry it to another host (RFC 1122 §3.2.1.3, RFC 6890), or
 * the system would take it for something else, as it takes ::ffff:127.0.0.1 for 127.0.0.1.
 */
export function isMartian(address: Uint8Array): boolean {
  const first = address[0]!;
  if (address.length === 4) return first === 0 || first === 127 || first >= 224;
  if (first === 0xff || isMappedIpv4(address)) return true;
  return address.subarray(0, 15).every((byte) => byte === 0) && address[15]! <= 1;
}

/** What of this host a tunnel address stands for. */
export const LOOPBACK_4 = parseIp('127.0.0.1')!;
export const LOOPBACK_6 = parseIp('::1')!;
