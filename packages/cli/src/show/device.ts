import { formatEndpoint, type Endpoint } from '@wirestream/core/address/endpoint';
import { formatKey } from '@wirestream/core/config/key';
import type { DeviceSnapshot } from '@wirestream/core/device/snapshot';

/** A device and what it is called, with all that is needed to print it. */
export interface ShownDevice {
  readonly name: string;
  /** the public key is filled in wherever there is a private key */
  readonly device: DeviceSnapshot;
  /** the name of the network interface with that index; null when there is none */
  readonly interfaceName: (index: number) => string | null;
}

/** An endpoint as wg(8) writes it: zones by their interface's name where it has one. */
export function showEndpoint(endpoint: Endpoint, shown: ShownDevice): string {
  const name = endpoint.scope === undefined ? null : shown.interfaceName(endpoint.scope);
  return name === null ? formatEndpoint(endpoint) : `[${endpoint.address}%${name}]:${endpoint.port}`;
}

export function keyOrNone(key: Uint8Array | null): string {
  return key === null ? '(none)' : formatKey(key);
}

export function showFwmark(fwmark: number): string {
  return fwmark === 0 ? 'off' : `0x${fwmark.toString(16)}`;
}

/** Whole seconds since the Unix epoch. */
export function handshakeSeconds(lastHandshakeMs: number): number {
  return Math.floor(lastHandshakeMs / 1000);
}
