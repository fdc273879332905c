import { readFileSync } from 'node:fs';
import type { InterfaceConfig } from '@wirestream/core/config/config';
import type { Journal } from './journal.js';
import type { Shell } from './shell.js';

/** Sets name servers and search domains by resolvconf(8), as wg-quick(8) does. Without one, says that it cannot. */
export async function setDns(name: string, iface: InterfaceConfig, shell: Shell, journal: Journal): Promise<void> {
  const { dns, dnsSearch } = iface;
  if (dns.length === 0 && dnsSearch.length === 0) return;
  if (!shell.has('resolvconf')) {
    shell.say(
      `warning: DNS = ${[...dns, ...dnsSearch].join(', ')} is not set: there is no resolvconf here (Debian: openresolv)`,
    );
    return;
  }
  const record = `${resolvconfPrefix()}${name}`;
  const search = dnsSearch.length === 0 ? [] : [`search ${dnsSearch.join(' ')}`];
  journal.add({ argv: ['resolvconf', '-d', record, '-f'] });
  await shell.run(
    ['resolvconf', '-a', record, '-m', '0', '-x'],
    [...dns.map((ip) => `nameserver ${ip}`), ...search, ''].join('\n'),
  );
}

/**
 * Debian's own resolvconf sorts by the names of interfaces and puts unknown ones last; a name that begins like a tunnel's comes before those
 * of the hardware.
 */
function resolvconfPrefix(): string {
  try {
    const order = readFileSync('/etc/resolvconf/interface-order', 'utf8');
    const tunnel = /^([A-Za-z0-9-]+)\*$/m.exec(order);
    return tunnel === null ? '' : `${tunnel[1]}.`;
  } catch {
    return '';
  }
}
