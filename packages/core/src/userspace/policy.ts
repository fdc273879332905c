import { formatIp } from '../address/ip.js';
import type { RemoteForward } from './forward.js';
import type { Target } from './native.js';
import { allows, allowsHost, isMartian, LOOPBACK_4, LOOPBACK_6, type AllowRule } from './rules.js';

export type Decision = Target | 'closed' | 'prohibited' | 'ignore';

/**
 * What peers may reach. Closed by default: of our own addresses the ports that were given away by name, and this
 * host's loopback address as far as the allow list goes (a tunnel address of ours stands for it); beyond them only what the allow list names.
 */
export class Policy {
  readonly #listeners = new Map<string, unknown>();

  constructor(
    private readonly addresses: readonly Uint8Array[],
    private readonly rules: readonly AllowRule[],
    private readonly forwards: readonly RemoteForward[],
  ) {}

  /** Hands a port of our addresses to something in this program. @returns false when it has one already */
  listen(protocol: 'tcp' | 'udp', port: number, listener: unknown): boolean {
    const key = `${protocol} ${port}`;
    if (this.#listeners.has(key)) return false;
    this.#listeners.set(key, listener);
    return true;
  }

  unlisten(protocol: 'tcp' | 'udp', port: number): void {
    this.#listeners.delete(`${protocol} ${port}`);
  }

  isOwn(address: Uint8Array): boolean {
    return this.addresses.some((own) => same(own, address));
  }

  decide(protocol: 'tcp' | 'udp', address: Uint8Array, port: number): Decision {
    if (!this.isOwn(address)) {
      if (isMartian(address)) return 'ignore';
      if (port === 0 || !allows(this.rules, address, port)) return 'prohibited';
      return { kind: 'address', host: formatIp(address), port };
    }
    const listener = this.#listeners.get(`${protocol} ${port}`);
    if (listener !== undefined) return { kind: 'listener', listener };
    for (const forward of this.forwards) {
      if (forward.protocol !== protocol || forward.port !== port) continue;
      if (forward.address !== null && !same(forward.address, address)) continue;
      return { kind: 'address', ...forward.destination };
    }
    const loopback = address.length === 4 ? LOOPBACK_4 : LOOPBACK_6;
    if (port === 0 || !(allows(this.rules, loopback, port) || allows(this.rules, address, port))) return 'closed';
    return { kind: 'address', host: formatIp(loopback), port };
  }

  /** Whether an address that is not ours may be pinged. */
  mayPing(address: Uint8Array): boolean {
    return !isMartian(address) && allowsHost(this.rules, address);
  }
}

function same(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}
