/**
 * Routing everything through the tunnel, without routing the tunnel's own packets into itself.
 *
 * Theory of operation (wg-quick's method, carried over to TCP). Our sockets mark their packets with a number that is also
 * that of a routing table. The default route stands in that table, and a rule sends what is *not* marked there; a rule
 * before it still prefers any route of the main table but its default. Replies to our own packets come in unmarked,
 * and a strict reverse-path filter would look for their source in the tunnel's table and drop them; so the mark is saved in
 * the connection (conntrack) on the way out and restored on the way in, for UDP and TCP alike, and the filter is told to look
 * at marks. Packets from elsewhere to the tunnel's own addresses are dropped, so that nobody on the local network can tell that the address is ours.
 */
import { formatIp } from '@wirestream/core/address/ip';
import type { InterfaceConfig } from '@wirestream/core/config/config';
import type { Journal } from './journal.js';
import type { Shell } from './shell.js';

/** Where wg-quick(8) begins to look for a table of its own. */
const FIRST_TABLE = 51820;
const LAST_TABLE = FIRST_TABLE + 10_000;

/** The mark and table to use: the configuration's, else the first table that nobody has routes in. */
export async function chooseTable(fwmark: number | undefined, shell: Shell): Promise<number> {
  if (fwmark !== undefined && fwmark !== 0) return fwmark;
  for (let table = FIRST_TABLE; table < LAST_TABLE; table++) {
    const shown = await Promise.all(
      ['-4', '-6'].map(async (family) => shell.query(['ip', family, 'route', 'show', 'table', String(table)])),
    );
    // ip(8) fails for a table that does not exist; either way it is free.
    if (shown.every((text) => (text ?? '').trim() === '')) return table;
  }
  return LAST_TABLE;
}

/** Adds the default route of one family by policy. The device's fwmark must be `table` already. */
export async function addDefault(
  family: '-4' | '-6',
  name: string,
  table: number,
  iface: InterfaceConfig,
  shell: Shell,
  journal: Journal,
): Promise<void> {
  const step = async (change: (verb: string) => string[]) => {
    journal.add({ argv: change('delete') });
    await shell.run(change('add'));
  };
  const everything = family === '-4' ? '0.0.0.0/0' : '::/0';
  const number = String(table);
  await shell.run(['ip', family, 'route', 'add', everything, 'dev', name, 'table', number]);
  await firewall(family, name, table, iface, shell, journal);
  await step((verb) => ['ip', family, 'rule', verb, 'not', 'fwmark', number, 'table', number]);
  await step((verb) => ['ip', family, 'rule', verb, 'table', 'main', 'suppress_prefixlength', '0']);
  if (family === '-4') await shell.run(['sysctl', '-q', '-w', 'net.ipv4.conf.all.src_valid_mark=1']);
}

async function firewall(
  family: '-4' | '-6',
  name: string,
  table: number,
  iface: InterfaceConfig,
  shell: Shell,
  journal: Journal,
): Promise<void> {
  const size = family === '-4' ? 4 : 16;
  const addresses = iface.addresses.filter(({ bytes }) => bytes.length === size).map(({ bytes }) => formatIp(bytes));
  if (shell.has('nft')) {
    const pf = family === '-4' ? 'ip' : 'ip6';
    journal.add({ argv: ['nft', 'delete', 'table', pf, nftTable(name)] });
    await shell.run(['nft', '-f', '-'], nftRules(pf, name, table, addresses));
  } else if (shell.has(family === '-4' ? 'iptables-restore' : 'ip6tables-restore')) {
    const restore = [family === '-4' ? 'iptables-restore' : 'ip6tables-restore', '-n'];
    journal.add({ argv: restore, input: iptablesRules('-D', name, table, addresses) });
    await shell.run(restore, iptablesRules('-I', name, table, addresses));
  } else {
    shell.say(
      'warning: neither nft nor iptables is here; a strict reverse-path filter (rp_filter = 1) would drop replies',
    );
  }
}

const nftTable = (name: string): string => `wirestream-${name}`;

/** An nftables script (nft(8)); raw comes before connection tracking (-300), mangle behind it (-150). */
export function nftRules(pf: 'ip' | 'ip6', name: string, mark: number, addresses: readonly string[]): string {
  const table = `${pf} ${nftTable(name)}`;
  const ours = 'meta l4proto { tcp, udp }';
  return [
    `add table ${table}`,
    `add chain ${table} preraw { type filter hook prerouting priority -300; }`,
    `add chain ${table} premangle { type filter hook prerouting priority -150; }`,
    `add chain ${table} postmangle { type filter hook postrouting priority -150; }`,
    ...addresses.map(
      (address) => `add rule ${table} preraw iifname != "${name}" ${pf} daddr ${address} fib saddr type != local drop`,
    ),
    `add rule ${table} postmangle ${ours} meta mark ${mark} ct mark set meta mark`,
    `add rule ${table} premangle ${ours} ct mark ${mark} meta mark set ct mark`,
    '',
  ].join('\n');
}

/** The same for iptables-restore(8). @param verb -I to insert, -D to delete */
export function iptablesRules(verb: '-I' | '-D', name: string, mark: number, addresses: readonly string[]): string {
  const note = `-m comment --comment "wirestream rule for ${name}"`;
  const marks = ['tcp', 'udp'].flatMap((protocol) => [
    `${verb} POSTROUTING -m mark --mark ${mark} -p ${protocol} -j CONNMARK --save-mark ${note}`,
    `${verb} PREROUTING -p ${protocol} -m connmark --mark ${mark} -j CONNMARK --restore-mark ${note}`,
  ]);
  const drops = addresses.map(
    (address) => `${verb} PREROUTING ! -i ${name} -d ${address} -m addrtype ! --src-type LOCAL -j DROP ${note}`,
  );
  return ['*raw', ...drops, 'COMMIT', '*mangle', ...marks, 'COMMIT', ''].join('\n');
}
