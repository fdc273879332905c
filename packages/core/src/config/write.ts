import { formatIp, formatPrefix } from '../address/ip.js';
import type { Config, EndpointName } from './config.js';
import { formatKey } from './key.js';

/** The text of a wg-quick file that `parseConfig` reads as an equal `Config`. Holds secrets. */
export function formatConfig(config: Config): string {
  const { interface: iface, peers } = config;
  const sections = [
    section('Interface', [
      ['PrivateKey', iface.privateKey && formatKey(iface.privateKey)],
      ['ListenPort', iface.listenPort],
      ['FwMark', iface.fwmark === undefined ? undefined : `0x${iface.fwmark.toString(16)}`],
      ['Transport', iface.transport],
      ['Extensions', onOff(iface.extensions)],
      ['Address', iface.addresses.map(({ bytes, length }) => `${formatIp(bytes)}/${length}`).join(', ')],
      ['DNS', [...iface.dns, ...iface.dnsSearch].join(', ')],
      ['MTU', iface.mtu],
      ['Table', iface.table],
      ...iface.preUp.map((line) => ['PreUp', line] as const),
      ...iface.postUp.map((line) => ['PostUp', line] as const),
      ...iface.preDown.map((line) => ['PreDown', line] as const),
      ...iface.postDown.map((line) => ['PostDown', line] as const),
      ['SaveConfig', iface.saveConfig ? 'true' : undefined],
      ['SaveAnnounced', iface.saveAnnounced?.toString()],
    ]),
    ...peers.map((peer) =>
      section('Peer', [
        ['PublicKey', formatKey(peer.publicKey)],
        ['PresharedKey', peer.presharedKey && formatKey(peer.presharedKey)],
        ['AllowedIPs', peer.allowedIps.map(formatPrefix).join(', ')],
        ['Endpoint', peer.endpoint && formatEndpointName(peer.endpoint)],
        ['PersistentKeepalive', peer.persistentKeepalive],
        ['Transport', peer.transport],
        ['Extensions', onOff(peer.extensions)],
      ]),
    ),
  ];
  return sections.join('\n');
}

/** `HOST:PORT`, or `[IPV6]:PORT`. */
export function formatEndpointName(endpoint: EndpointName): string {
  return endpoint.host.includes(':') ? `[${endpoint.host}]:${endpoint.port}` : `${endpoint.host}:${endpoint.port}`;
}

function onOff(value: boolean | undefined): string | undefined {
  return value === undefined ? undefined : value ? 'on' : 'off';
}

function section(name: string, lines: readonly (readonly [string, string | number | undefined])[]): string {
  const set = lines.filter(([, value]) => value !== undefined && value !== '');
  return [`[${name}]`, ...set.map(([key, value]) => `${key} = ${value}`), ''].join('\n');
}
