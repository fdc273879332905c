import { Flags } from '@oclif/core';
import { formatIp, parseIp } from '@wirestream/core/address/ip';
import type { Config } from '@wirestream/core/config/config';
import { WirestreamError } from '@wirestream/core/device/errors';
import { parseForward, parseRemoteForward, parseSocks5, type HostPort } from '@wirestream/core/userspace/forward';
import { contains, parseAllow } from '@wirestream/core/userspace/rules';
import type { UserOptions } from '../daemon/host.js';

/** Flags that only a tunnel without an interface has. */
export const ROOTLESS_FLAGS = {
  allow: Flags.string({
    multiple: true,
    helpGroup: 'ROOTLESS',
    helpValue: 'ADDRESS:PORTS',
    description: 'what peers may reach from here, as 127.0.0.1:8080, 10.0.0.0/8:* or [fd00::/8]:443',
  }),
  exit: Flags.boolean({ helpGroup: 'ROOTLESS', description: 'peers may reach everything from here' }),
  forward: Flags.string({
    multiple: true,
    helpGroup: 'ROOTLESS',
    helpValue: 'LISTEN=DEST',
    description:
      'a port of this host that leads into the tunnel, as 127.0.0.1:8080=10.0.0.2:80, or 5353=10.0.0.2:53/udp',
  }),
  'remote-forward': Flags.string({
    multiple: true,
    helpGroup: 'ROOTLESS',
    helpValue: 'PORT=DEST',
    description: 'a port of our tunnel addresses that leads to a service, as 80=127.0.0.1:8080',
  }),
  socks5: Flags.string({
    helpGroup: 'ROOTLESS',
    helpValue: '[ADDRESS:]PORT',
    description: 'a SOCKS5 proxy into the tunnel: CONNECT and UDP ASSOCIATE; on 127.0.0.1 when only a port is given',
  }),
  resolve: Flags.option({
    options: ['tunnel', 'here'] as const,
    helpGroup: 'ROOTLESS',
    description:
      'who is asked for the names that --forward and --socks5 meet: name servers inside the tunnel, or this host. ' +
      'By default the former when there are any',
  })(),
  'name-server': Flags.string({
    multiple: true,
    helpGroup: 'ROOTLESS',
    helpValue: 'ADDRESS',
    description: "name servers inside the tunnel; those of the file's DNS line when none is given",
  }),
};

/** What the command line gave of them. */
export interface RootlessFlags {
  readonly allow?: readonly string[] | undefined;
  readonly exit: boolean;
  readonly forward?: readonly string[] | undefined;
  readonly 'remote-forward'?: readonly string[] | undefined;
  readonly socks5?: string | undefined;
  readonly resolve?: 'tunnel' | 'here' | undefined;
  readonly 'name-server'?: readonly string[] | undefined;
}

/**
 * What the user-space stack is to do.
 * @throws WirestreamError usage, and what the parsers of the values throw
 */
export function userOptions(flags: RootlessFlags, config: Config): UserOptions {
  const forwards = (flags.forward ?? []).map(parseForward);
  const socks5 = flags.socks5 === undefined ? undefined : parseSocks5(flags.socks5);
  for (const { listen } of forwards) checkPort('--forward', listen);
  if (socks5 !== undefined) checkPort('--socks5', socks5);
  const nameServers = nameServersOf(flags, config);
  return {
    addresses: config.interface.addresses,
    allow: (flags.allow ?? []).map(parseAllow),
    exit: flags.exit,
    forwards,
    remoteForwards: (flags['remote-forward'] ?? []).map(parseRemoteForward),
    ...(socks5 === undefined ? {} : { socks5 }),
    ...(nameServers.length === 0 ? {} : { nameServers }),
  };
}

/** The first flag given that a tunnel with an interface has no use for; null when there is none. */
export function rootlessFlagIn(flags: RootlessFlags): string | null {
  const { exit, ...others } = flags;
  const names = Object.keys(ROOTLESS_FLAGS) as (keyof RootlessFlags)[];
  const given = names.find((name) => (name === 'exit' ? exit : others[name] !== undefined));
  return given === undefined ? null : `--${given}`;
}

/** Nobody would learn which port the system chose. */
function checkPort(flag: string, { port }: HostPort): void {
  if (port === 0)
    throw new WirestreamError('usage', `${flag}: port 0 is none to listen on`, 'name a port from 1 to 65535');
}

/** The name servers to ask through the tunnel; none when this host is to be asked. */
function nameServersOf(flags: RootlessFlags, config: Config): Uint8Array[] {
  const given = flags['name-server'];
  if (flags.resolve === 'here') {
    if (given === undefined) return [];
    throw new WirestreamError('usage', '--name-server has no use with --resolve here', 'leave one of them away');
  }
  const named = (given ?? config.interface.dns).map((text) => {
    const address = parseIp(text);
    if (address === null) throw new WirestreamError('usage', `--name-server ${text}: is not an IP address`);
    return address;
  });
  const servers = named.filter((address) => isInside(address, config));
  // Servers of the file that lie outside are this host's business, as they are with an interface; those asked for by name are not.
  const outside = named.find((address) => !servers.includes(address));
  if (outside !== undefined && (given !== undefined || (servers.length === 0 && flags.resolve === 'tunnel'))) {
    throw new WirestreamError(
      'usage',
      `no peer has the name server ${formatIp(outside)} among its AllowedIPs`,
      'add it there, or use --resolve here',
    );
  }
  if (servers.length === 0 && flags.resolve === 'tunnel') {
    throw new WirestreamError(
      'usage',
      '--resolve tunnel: there is no name server to ask',
      'give one with --name-server, or a DNS line in [Interface]',
    );
  }
  return servers;
}

function isInside(address: Uint8Array, config: Config): boolean {
  return config.peers.some((peer) => peer.allowedIps.some((prefix) => contains(prefix, address)));
}
