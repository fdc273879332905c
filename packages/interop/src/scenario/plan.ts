/** What a scenario runs on: addresses, keys and ports of both ends. */

export type Side = 'us' | 'kernel';
export type Family = 4 | 6;
export type Transport = 'udp' | 'tcp';

export interface EndPlan {
  readonly privateKey: string;
  readonly publicKey: string;
  readonly outer: Readonly<Record<Family, string>>;
  /** where it can move to */
  readonly spare: Readonly<Record<Family, string>>;
  readonly inner: Readonly<Record<Family, string>>;
  readonly port: number;
}

export interface Plan {
  /** number of the outer and inner networks */
  readonly network: number;
  readonly transport: Transport;
  readonly family: Family;
  readonly presharedKey: string | null;
  readonly us: EndPlan;
  readonly kernel: EndPlan;
}

export const MTU = 1420;

export interface KeyMaterial {
  readonly us: { readonly privateKey: string; readonly publicKey: string };
  readonly kernel: { readonly privateKey: string; readonly publicKey: string };
  readonly presharedKey: string;
}

/** Networks and ports are those of fixtures/kernel for network 0; other numbers have their own, to run at the same time. */
export function makePlan(network: number, transport: Transport, family: Family, psk: boolean, keys: KeyMaterial): Plan {
  const end = (host: number, port: number, key: KeyMaterial['us']): EndPlan => ({
    ...key,
    outer: { 4: `10.99.${network}.${host}`, 6: canonical(`fd99:0:0:${network}::${host}`) },
    spare: { 4: `10.99.${network}.${host + 10}`, 6: canonical(`fd99:0:0:${network}::${host + 10}`) },
    inner: { 4: `10.77.${network}.${host}`, 6: canonical(`fd77:0:0:${network}::${host}`) },
    port,
  });
  return {
    network,
    transport,
    family,
    presharedKey: psk ? keys.presharedKey : null,
    us: end(1, 51_821 + 2 * network, keys.us),
    kernel: end(2, 51_820 + 2 * network, keys.kernel),
  };
}

export function endpoint(address: string, port: number): string {
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
}

/** An IPv6 address as programs print it (RFC 5952); others as they are. */
export function canonical(address: string): string {
  return address.includes(':') ? new URL(`http://[${address}]/`).hostname.slice(1, -1) : address;
}

/** The address in what `endpoint` makes. */
export function hostOf(text: string): string {
  return canonical(text.replace(/:\d+$/, '').replace(/^\[|\]$/g, ''));
}

/** Whose an address is, wherever that side has moved to; null for strangers. */
export function sideOf(address: string, plan: Plan): Side | null {
  const sides = ['us', 'kernel'] as const;
  return (
    sides.find((side) => [plan[side].outer, plan[side].spare].some((o) => Object.values(o).includes(address))) ?? null
  );
}

export function allowedIps(end: EndPlan): string {
  return `${end.inner[4]}/32,${end.inner[6]}/128`;
}

export function other(side: Side): Side {
  return side === 'us' ? 'kernel' : 'us';
}
