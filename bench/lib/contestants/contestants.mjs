import { openvpn } from './openvpn.mjs';
import { veth } from './veth.mjs';
import { wireguardGo } from './wireguardgo.mjs';
import { wirestream } from './wirestream.mjs';

/** In the order of the tables. */
export const CONTESTANTS = [wirestream('tcp'), wirestream('tcp', true), wirestream('udp'), wireguardGo, openvpn, veth];
export const IDS = CONTESTANTS.map(({ id }) => id);
/** What all ratios are taken to. */
export const REFERENCE = wireguardGo.id;

/** Programs that all of it takes: program → Debian package. */
export const PROGRAMS = {
  ip: 'iproute2',
  ping: 'iputils-ping',
  iperf3: 'iperf3',
  wg: 'wireguard-tools',
  'wireguard-go': 'wireguard-go',
  openvpn: 'openvpn',
  openssl: 'openssl',
};
