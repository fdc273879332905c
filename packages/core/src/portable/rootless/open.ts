import { lookup } from 'node:dns/promises';
import { endpointOf, type Endpoint } from '../../address/endpoint.js';
import { parseIp } from '../../address/ip.js';
import type { EndpointName } from '../../config/config.js';
import { parseConfig } from '../../config/parse.js';
import { toDeviceSettings } from '../../config/settings.js';
import { WirestreamError } from '../../device/errors.js';
import { fastestProvider } from '../provider.js';
import { RootlessTunnel, type RootlessOptions } from './tunnel.js';

/** What a wg-quick file does not say. */
export interface OpenOptions extends Omit<
  RootlessOptions,
  'crypto' | 'makeSlab' | 'makePacketSlab' | 'makeDatagramBatches' | 'settings' | 'addresses' | 'mtu'
> {
  /** what to call the configuration in messages */
  readonly file?: string;
  /** false: no native code is loaded; by default it is where there is some */
  readonly native?: boolean;
}

/**
 * Brings up a tunnel inside this process, without interface, routes or privileges.
 * @param text a wg-quick file's; its commands, routes and DNS do not apply
 * @throws WirestreamError what `parseConfig` throws, endpoint-unknown, and what `RootlessTunnel.start` throws
 */
export async function openTunnel(text: string, options: OpenOptions = {}): Promise<RootlessTunnel> {
  const { file = 'configuration', native = true, ...rest } = options;
  const { config } = parseConfig(text, { file });
  const endpoints = await Promise.all(config.peers.map(({ endpoint }) => (endpoint ? located(endpoint) : null)));
  const { mtu, addresses } = config.interface;
  const tunnel = new RootlessTunnel({
    ...(await fastestProvider(native)),
    settings: toDeviceSettings(config, endpoints),
    addresses,
    ...(mtu === undefined ? {} : { mtu }),
    ...rest,
  });
  await tunnel.start();
  return tunnel;
}

async function located({ host, port }: EndpointName): Promise<Endpoint> {
  const [plain, zone] = host.split('%') as [string, string?];
  const address = parseIp(plain);
  if (address !== null) return endpointOf(address, port, Number(zone ?? 0));
  try {
    return endpointOf(parseIp((await lookup(host)).address)!, port);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new WirestreamError(
      'endpoint-unknown',
      `cannot look up ${host}: ${code}`,
      'check the name, or use an address',
    );
  }
}
