import { readFileSync, readdirSync } from 'node:fs';
import { networkInterfaces } from 'node:os';

/** Network interfaces between their names and their indices, as IPv6 zones have them. */

/** The index of the interface `name`; 0 when there is none. */
export function interfaceIndex(name: string): number {
  if (/^[0-9]{1,9}$/.test(name)) return Number(name);
  if (name.includes('/')) return 0;
  try {
    return Number(readFileSync(`/sys/class/net/${name}/ifindex`, 'utf8')) || 0;
  } catch {
    // No sysfs, or not of this network namespace: what Node knows are the interfaces that are up.
    const found = networkInterfaces()[name]?.find((address) => address.family === 'IPv6');
    return found?.family === 'IPv6' ? found.scopeid : 0;
  }
}

/** The name of the interface with that index; null when there is none. */
export function interfaceName(index: number): string | null {
  try {
    for (const name of readdirSync('/sys/class/net')) if (interfaceIndex(name) === index) return name;
  } catch {
    // as above
  }
  for (const [name, addresses] of Object.entries(networkInterfaces())) {
    if (addresses?.some((address) => address.family === 'IPv6' && address.scopeid === index)) return name;
  }
  return null;
}
