import type { HostPort } from '@wirestream/core/userspace/forward';
import { parseForward, parseRemoteForward, parseSocks5 } from '@wirestream/core/userspace/forward';
import { parseAllow } from '@wirestream/core/userspace/rules';
import { formatKey } from '@wirestream/core/config/key';
import type { Transport } from '@wirestream/core/device/settings';
import { openTunnel, type OpenOptions } from '@wirestream/core/portable/rootless/open';
import type { RootlessTunnel } from '@wirestream/core/portable/rootless/tunnel';
import { keysOf } from '../hostile/keys.js';
import { openServices, type Services } from './services.js';

/** Ports of the second end's tunnel addresses, and what is behind them. */
export const PORT = {
  /** an echo in the program itself */
  inside: 7,
  /** echoes of this host, by a remote forward */
  outside: 9,
  /** a web server in the program */
  web: 80,
  /** breaks whatever connects */
  rude: 13,
} as const;

/** Addresses behind the second end that it lets nobody reach, and that it may ping. */
export const FORBIDDEN = '10.9.0.1';
export const BEYOND = '10.9.9.9';

/** Two tunnels without privileges on loopback, 10.0.0.1 and 10.0.0.2, the first of which has everything that programs may use. */
export interface World {
  readonly services: Services;
  readonly here: RootlessTunnel;
  readonly there: RootlessTunnel;
  /** of this host: where the forwards of the first end listen */
  readonly forwards: {
    readonly stream: HostPort;
    readonly named: HostPort;
    readonly dead: HostPort;
    readonly datagrams: HostPort;
  };
  readonly socks5: HostPort;
  close(): Promise<void>;
}

export function configText(mine: 1 | 2, transport: Transport, port: number | null): string {
  const theirs = 3 - mine;
  return [
    '[Interface]',
    `PrivateKey = ${formatKey(keysOf(mine).privateKey)}`,
    `Address = 10.0.0.${mine}/24, fd00::${mine}/64`,
    `Transport = ${transport}`,
    '[Peer]',
    `PublicKey = ${formatKey(keysOf(theirs).publicKey)}`,
    `AllowedIPs = 10.0.0.${theirs}/32, fd00::${theirs}/128${mine === 1 ? ', 10.9.0.0/16' : ''}`,
    ...(port === null ? [] : [`Endpoint = ${port % 2 === 0 ? 'localhost' : '127.0.0.1'}:${port}`]),
    '',
  ].join('\n');
}

/** The end that offers something: its own services, and some of this host's. */
export async function openThere(services: Services, transport: Transport, native: boolean): Promise<RootlessTunnel> {
  const remote = [
    `${PORT.outside}=127.0.0.1:${services.echo}`,
    `${PORT.outside}=127.0.0.1:${services.echo}/udp`,
    `53=127.0.0.1:${services.names}/udp`,
    `10.0.0.2:53=127.0.0.1:${services.names}`,
  ];
  return openTunnel(configText(2, transport, null), {
    native,
    listenOn: ['127.0.0.1'],
    allow: [parseAllow(`127.0.0.1:${services.echo}`), parseAllow(`${BEYOND}:*`)],
    remoteForwards: remote.map(parseRemoteForward),
  });
}

export async function openWorld(transport: Transport, native: boolean): Promise<World> {
  const services = await openServices();
  const there = await openThere(services, transport, native);
  const text = configText(1, transport, there.driver.device.listenPort);
  const forwards = [
    `127.0.0.1:0=10.0.0.2:${PORT.outside}`,
    `0=echo.test:${PORT.inside}`,
    `0=10.0.0.2:${services.nobody}`,
    `0=echo.test:${PORT.outside}/udp`,
  ].map(parseForward);
  const options: OpenOptions = {
    native,
    listenOn: ['127.0.0.1'],
    forwards,
    socks5: parseSocks5('0'),
    nameServers: [Uint8Array.of(10, 0, 0, 2)],
  };
  const here = await openTunnel(text, options);
  const [stream, named, dead, datagrams] = here.forwardEndpoints as [HostPort, HostPort, HostPort, HostPort];
  return {
    services,
    here,
    there,
    forwards: { stream, named, dead, datagrams },
    socks5: here.socks5Endpoint!,
    close: async () => {
      await Promise.all([here.stop(), there.stop()]);
      services.close();
    },
  };
}
