import { parseIp } from '../address/ip.js';
import type { Transport } from '../device/settings.js';
import type { EndpointName, InterfaceAddress } from './config.js';

/**
 * The values of single keys. Each function gives null for what is not such a value; who calls knows file and line.
 */

/** An IPv4 host must take packets of 68 bytes (RFC 791); less than that no interface accepts. */
export const MTU_MIN = 68;
/** 65535 less what IPv6, UDP and a transport message add at most (40 + 8 + 32 bytes). */
export const MTU_MAX = 65455;

/** A decimal number within bounds. */
export function parseNumber(text: string, min: number, max: number): number | null {
  if (!/^[0-9]{1,10}$/.test(text)) return null;
  const value = Number(text);
  return value >= min && value <= max ? value : null;
}

/** `off`, a decimal number, or a hexadecimal one after 0x; 32 bits. */
export function parseFwmark(text: string): number | null {
  if (text.toLowerCase() === 'off') return 0;
  const hex = /^0x([0-9a-f]{1,8})$/i.exec(text);
  return hex !== null ? parseInt(hex[1]!, 16) : parseNumber(text, 0, 0xffffffff);
}

/** `off`, or 0–65535 seconds. */
export function parseKeepalive(text: string): number | null {
  return text.toLowerCase() === 'off' ? 0 : parseNumber(text, 0, 65535);
}

export function parseTransport(text: string): Transport | null {
  const word = text.toLowerCase();
  return word === 'tcp' || word === 'udp' || word === 'auto' ? word : null;
}

/** `on` or `off`. */
export function parseSwitch(text: string): boolean | null {
  const word = text.toLowerCase();
  return word === 'on' ? true : word === 'off' ? false : null;
}

/** `off`, `auto`, a routing table's number, or a name from rt_tables. */
export function parseTable(text: string): string | null {
  const word = text.toLowerCase();
  if (word === 'off' || word === 'auto') return word;
  if (/^0x[0-9a-f]{1,8}$/i.test(text)) return String(parseInt(text, 16));
  if (/^[0-9]+$/.test(text)) {
    const table = parseNumber(text, 1, 0xffffffff);
    return table === null ? null : String(table);
  }
  return /^[a-zA-Z][a-zA-Z0-9_.-]{0,63}$/.test(text) ? text : null;
}

/** `ADDRESS` or `ADDRESS/LENGTH`, host bits kept; without a length it is a network of one address. */
export function parseInterfaceAddress(text: string): InterfaceAddress | null {
  const match = /^([^/]+)(?:\/([0-9]{1,3}))?$/.exec(text);
  const bytes = match === null ? null : parseIp(match[1]!);
  if (match === null || bytes === null) return null;
  const bits = bytes.length * 8;
  const length = match[2] === undefined ? bits : Number(match[2]);
  return length <= bits ? { bytes, length } : null;
}

/** Labels of letters, digits, hyphens and underscores, separated by dots; at most 253 characters (RFC 1035 §2.3.4). */
const HOST_NAME =
  /^(?!.{254})(?:[a-zA-Z0-9_](?:[a-zA-Z0-9_-]{0,61}[a-zA-Z0-9_])?)(?:\.[a-zA-Z0-9_](?:[a-zA-Z0-9_-]{0,61}[a-zA-Z0-9_])?)*\.?$/;
/** Names of internationalised domains may be written as they are; the resolver converts them. */
const BEYOND_ASCII = /[^\0-\x7f]/;

export function isHostName(text: string): boolean {
  if (/^[0-9.]+$/.test(text)) return false;
  return HOST_NAME.test(text) || (BEYOND_ASCII.test(text) && text.length <= 253 && !/[\s/:[\]%]/.test(text));
}

/** `HOST:PORT` with a name or an IPv4 address, or `[IPV6]:PORT`, a `%zone` allowed. Else what is wrong with it. */
export function parseEndpointName(text: string): EndpointName | { wrong: string; hint: string } {
  const match = /^(?:\[([^\]]*)\]|(.*)):([^:]*)$/.exec(text);
  if (match === null) return { wrong: 'no port', hint: 'write HOST:PORT or [IPV6]:PORT' };
  const port = parseNumber(match[3]!, 1, 65535);
  if (port === null) return { wrong: 'port is not 1–65535', hint: 'write HOST:PORT or [IPV6]:PORT' };
  const host = match[1] ?? match[2]!;
  if (match[1] !== undefined || host.includes(':')) {
    const zone = host.indexOf('%');
    const bytes = parseIp(zone < 0 ? host : host.slice(0, zone));
    const zoneOk = zone < 0 || /^[a-zA-Z0-9_=+.@-]{1,15}$/.test(host.slice(zone + 1));
    if (bytes?.length === 16 && zoneOk) return { host, port };
    return { wrong: 'not an IPv6 address', hint: 'an IPv6 endpoint is [ADDRESS]:PORT' };
  }
  if (parseIp(host) !== null || isHostName(host)) return { host, port };
  return { wrong: 'neither a host name nor an IP address', hint: 'write HOST:PORT or [IPV6]:PORT' };
}
