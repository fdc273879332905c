import { note, ok, problem, type Finding } from './finding.js';
import type { System } from './system.js';

/** The programs that a tunnel runs to set up the network around it, and those that people use with it. */

/** @param required whether `up` would make an interface */
export function programFindings(system: System, required: boolean): Finding[] {
  const has = (program: string): boolean => system.shell.has(program);
  const found: Finding[] = [];
  if (has('ip')) found.push(ok('ip', 'ip(8) is there: sets addresses and routes'));
  else {
    const says = 'ip(8) is missing: no interface can be set up without it';
    found.push((required ? problem : note)('ip', says, 'apt-get install iproute2'));
  }
  const filter = ['nft', 'iptables-restore'].find(has);
  found.push(
    filter === undefined
      ? note(
          'filter',
          'neither nft(8) nor iptables(8) is there: with AllowedIPs = 0.0.0.0/0 a strict reverse-path filter would drop replies',
          'apt-get install nftables',
        )
      : ok('filter', `${filter}(8) is there: guards tunnels that take the default route`, { program: filter }),
  );
  found.push(
    has('resolvconf')
      ? ok('dns', 'resolvconf(8) is there: sets DNS = of a configuration')
      : note('dns', 'resolvconf(8) is missing: DNS = of a configuration is not set', 'apt-get install openresolv'),
  );
  found.push(
    has('wg')
      ? ok('wg', 'wg(8) is there, and works on our tunnels')
      : ok('wg', 'wg(8) is missing: not needed, wirestream show and set do the same'),
  );
  return found;
}
