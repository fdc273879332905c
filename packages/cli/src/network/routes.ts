import { readFileSync } from 'node:fs';
import { formatPrefix, type Prefix } from '@wirestream/core/address/ip';
import type { Config, InterfaceAddress } from '@wirestream/core/config/config';
import { WirestreamError } from '@wirestream/core/device/errors';

/** What all peers' allowed IPs ask for as routes: each once, the most specific first, as wg-quick(8) adds them. */
export function routesOf(config: Config): Prefix[] {
  if (config.interface.table === 'off') return [];
  const byText = new Map<string, Prefix>();
  for (const { allowedIps } of config.peers) {
    for (const prefix of allowedIps) byText.set(formatPrefix(prefix), prefix);
  }
  return [...byText.values()].sort((a, b) => b.length - a.length);
}

/** Whether a range lies within the network of one of the addresses, so that the kernel has a route for it already. */
export function isCovered(route: Prefix, addresses: readonly InterfaceAddress[]): boolean {
  return addresses.some(({ bytes, length }) => {
    if (bytes.length !== route.bytes.length || length > route.length) return false;
    for (let i = 0, left = length; left > 0; i++, left -= 8) {
      const mask = left >= 8 ? 0xff : (0xff00 >> left) & 0xff;
      if (((bytes[i]! ^ route.bytes[i]!) & mask) !== 0) return false;
    }
    return true;
  });
}

/** Whether everything is to go through the tunnel, which takes a policy; a table that was named is left to its owner. */
export function needsPolicy(config: Config): boolean {
  return tableOf(config) === null && routesOf(config).some(({ length }) => length === 0);
}

/** The routing table that was asked for: its number or name; null where it is left to us. */
export function tableOf(config: Config): string | null {
  const { table = 'auto' } = config.interface;
  return table === 'auto' || table === 'off' ? null : table;
}

/** Files that give routing tables names, the first that has one counts (ip-route(8)). */
const TABLE_FILES = ['/etc/iproute2/rt_tables', '/usr/share/iproute2/rt_tables', '/usr/lib/iproute2/rt_tables'];

/** @throws WirestreamError unknown-table */
export function tableNumber(table: string, files: readonly string[] = TABLE_FILES): number {
  if (/^[0-9]+$/.test(table)) return Number(table);
  // linux/rtnetlink.h; known without any file
  const builtIn: Record<string, number> = { default: 253, main: 254, local: 255 };
  if (builtIn[table] !== undefined) return builtIn[table];
  for (const file of files) {
    const line = linesOf(file).find((fields) => fields[1] === table && /^[0-9]+$/.test(fields[0]!));
    if (line !== undefined) return Number(line[0]);
  }
  throw new WirestreamError(
    'unknown-table',
    `Table = ${table}: there is no such routing table`,
    `name it in ${files[0]}`,
  );
}

function linesOf(file: string): string[][] {
  try {
    const text = readFileSync(file, 'utf8');
    return text.split('\n').map((line) => line.replace(/#.*/, '').trim().split(/\s+/));
  } catch {
    return [];
  }
}
