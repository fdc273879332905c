import type { Config } from '@wirestream/core/config/config';
import { setUpInterface, setupCommands } from '@wirestream/core/linux/interface';
import { setDns } from './dns.js';
import type { Journal } from './journal.js';
import { addDefault } from './policy.js';
import { isCovered, routesOf, tableNumber, tableOf } from './routes.js';
import type { Shell } from './shell.js';

/**
 * Gives an interface that is there what its configuration says: addresses, MTU, routes, name servers. What does
 * not go away with the interface is noted in the journal before it is done.
 * @param mtu of the interface, bytes
 * @param mark that the device marks its packets with, and the table of the default routes, where there are such
 */
export async function setUpNetwork(
  name: string,
  config: Config,
  mtu: number,
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
    mtu,
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
