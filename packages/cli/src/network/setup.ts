import type { Config } from '@wirestream/core/config/config';
import { setUpInterface, setupCommands } from '@wirestream/core/linux/interface';
import { setDns } from './dns.js';
import type { Journal } from './journal.js';
import { addDefault } from './policy.js';
import { isCovered, routesOf, tableNumber, tableOf } from './routes.js';
import type { Shell } from './shell.js';

/** As wg(8) and the kernel have it: 1500 less what IPv6, UDP and a transport message add at most (40 + 8 + 32 bytes). */
export const DEFAULT_MTU = 1420;

/**
 * Gives an interface that is there what its configuration says: addresses, MTU, routes, name servers. What does
 * not go away with the interface is noted in the journal before it is done.
 * @param mark that the device marks its packets with, and the table of the default routes, where there are such
 */
export async function setUpNetwork(
  name: string,
  config: Config,
  mark: number,
  shell: Shell,
  journal: Journal,
): Promise<void> {
  const iface = config.interface;
  const named = tableOf(config);
  const routes = routesOf(config);
  const plain = named !== null ? routes : routes.filter((r) => r.length > 0 && !isCovered(r, iface.addresses));
  const setup = {
    name,
    addresses: iface.addresses,
    mtu: iface.mtu ?? DEFAULT_MTU,
    routes: plain,
    ...(named === null ? {} : { table: tableNumber(named) }),
  };
  for (const command of setupCommands(setup)) shell.say(`[#] ip ${command}`);
  await setUpInterface(setup);
  await setDns(name, iface, shell, journal);
  if (named !== null) return;
  for (const { bytes, length } of routes) {
    if (length === 0) await addDefault(bytes.length === 4 ? '-4' : '-6', name, mark, iface, shell, journal);
  }
}
