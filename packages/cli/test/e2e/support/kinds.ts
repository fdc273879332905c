import type { Namespace } from './netns.js';
import type { Scope } from './scope.js';
import { identity } from './keys.js';
import type { Tunnel } from './tunnel.js';
import { startWireguardGo } from './wireguardgo.js';
import { Wirestream } from './wirestream.js';

/** A way to get an interface that wg(8) can configure. */
export interface Kind {
  readonly label: string;
  /** whether messages travel over TCP */
  readonly tcp: boolean;
  /** whether it is ours, with more to look at than wg(8) shows */
  readonly ours: boolean;
  /** Makes an interface in `home`, where its sockets are to be; without peers. */
  start(scope: Scope, home: Namespace): Promise<Tunnel>;
}

function wirestreamOver(transport: 'udp' | 'tcp'): Kind {
  return {
    label: transport,
    tcp: transport === 'tcp',
    ours: true,
    start: async (scope, home) =>
      Wirestream.up(scope, home, { iface: { privateKey: identity().privateKey, transport, table: 'off' }, peers: [] }),
  };
}

/** The implementation that the scenarios themselves were checked with: WIRESTREAM_E2E_KIND=wireguard-go. */
const WIREGUARD_GO: Kind = {
  label: 'wireguard-go',
  tcp: false,
  ours: false,
  start: async (scope, home) => startWireguardGo(scope, home),
};

export function kinds(): Kind[] {
  const wanted = process.env['WIRESTREAM_E2E_KIND'];
  const all = [wirestreamOver('udp'), wirestreamOver('tcp'), WIREGUARD_GO];
  return wanted === undefined ? all.slice(0, 2) : all.filter(({ label }) => label === wanted);
}
