import { Device } from '../support/device.js';
import { identity, presharedKey } from '../support/keys.js';
import type { Kind } from '../support/kinds.js';
import { Namespace } from '../support/netns.js';
import type { Scope } from '../support/scope.js';

/** Keys and inner addresses as all scenarios have them. */
export const KEYS = [identity(), identity(), identity(), identity()] as const;
export const PSK = presharedKey();
export const PUB1 = KEYS[0].publicKey;
export const PUB2 = KEYS[1].publicKey;
export const PUB3 = KEYS[2].publicKey;
export const PUB4 = KEYS[3].publicKey;
export const V4 = ['192.168.241.1', '192.168.241.2'] as const;
export const V6 = ['fd00::1', 'fd00::2'] as const;
export const MTU = 1420;

/** Three namespaces, and one interface in each of the outer two. */
export interface Crossed {
  readonly n0: Namespace;
  readonly n1: Namespace;
  readonly n2: Namespace;
  readonly one: Device;
  readonly two: Device;
}

/**
 * @param home where the interfaces are made, and thus their sockets: all in the namespace in the middle, or each at its own
 */
export async function crossed(scope: Scope, kind: Kind, home: 'middle' | 'own'): Promise<Crossed> {
  const [n0, n1, n2] = await Promise.all(['0', '1', '2'].map(async (label) => Namespace.create(scope, label)));
  const [one, two] = await Promise.all([
    Device.start(scope, kind, home === 'middle' ? n0! : n1!, n1),
    Device.start(scope, kind, home === 'middle' ? n0! : n2!, n2),
  ]);
  return { n0: n0!, n1: n1!, n2: n2!, one, two };
}

/** Gives both interfaces their keys, ports, addresses and each other, without endpoints, whatever they had before. */
export async function configurePair({ one, two }: Crossed): Promise<void> {
  const side = async (device: Device, mine: 0 | 1): Promise<void> => {
    const other = (1 - mine) as 0 | 1;
    await device.setconf(
      '[Interface]',
      `PrivateKey = ${KEYS[mine].privateKey}`,
      `ListenPort = ${mine + 1}`,
      '[Peer]',
      `PublicKey = ${KEYS[other].publicKey}`,
      `PresharedKey = ${PSK}`,
      `AllowedIPs = ${V4[other]}/32, ${V6[other]}/128`,
    );
    await device.addresses(`${V4[mine]}/24`, `${V6[mine]}/112`);
    await device.mtu(MTU);
  };
  await Promise.all([side(one, 0), side(two, 1)]);
}

/** Tells both where the other is. */
export async function setEndpoints({ one, two }: Crossed, to1: string, to2: string): Promise<void> {
  await one.set('peer', PUB2, 'endpoint', to2);
  await two.set('peer', PUB1, 'endpoint', to1);
}
