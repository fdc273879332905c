import { lookup } from 'node:dns/promises';
import { endpointOf, type Endpoint } from '@wirestream/core/address/endpoint';
import { parseIp } from '@wirestream/core/address/ip';
import type { EndpointName } from '@wirestream/core/config/config';
import type { ParsedConfig } from '@wirestream/core/config/parse';
import { WirestreamError } from '@wirestream/core/device/errors';
import { interfaceIndex } from '../control/zones.js';

/** What looking up names needs of the world. */
export interface Resolver {
  /** the first address of a name; rejects with the system's error */
  lookup(name: string): Promise<{ address: string }>;
  sleep(ms: number): Promise<void>;
  /** tells people that it takes longer */
  say(line: string): void;
  /** how often to try again when a name server does not answer */
  readonly retries: number;
}

/** Retries as wg(8) has them: WG_ENDPOINT_RESOLUTION_RETRIES, 15 when unset, or infinity. */
export function systemResolver(say: (line: string) => void, env: NodeJS.ProcessEnv = process.env): Resolver {
  const wanted = env['WG_ENDPOINT_RESOLUTION_RETRIES'] ?? '15';
  return {
    lookup: (name) => lookup(name),
    sleep: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
    say,
    retries: wanted === 'infinity' ? Infinity : /^[0-9]{1,9}$/.test(wanted) ? Number(wanted) : 15,
  };
}

/**
 * The endpoints of a configuration's peers, looked up; null for peers without one.
 * @param file what to call the configuration in messages
 * @throws WirestreamError endpoint-unresolved
 */
export async function resolveEndpoints(
  parsed: ParsedConfig,
  file: string,
  resolver: Resolver,
): Promise<(Endpoint | null)[]> {
  const { peers } = parsed.config;
  return Promise.all(
    peers.map(async ({ endpoint }, i) => {
      if (endpoint === undefined) return null;
      return resolveEndpoint(endpoint, `${file}:${parsed.peerLines[i]!.endpoint}`, resolver);
    }),
  );
}

/**
 * One endpoint, looked up.
 * @param place where it was given, for messages
 * @throws WirestreamError endpoint-unresolved
 */
export async function resolveEndpoint(name: EndpointName, place: string, resolver: Resolver): Promise<Endpoint> {
  const literal = ofLiteral(name, place);
  if (literal !== null) return literal;
  // wg(8) waits 1 s, and a fifth longer each time, up to 20 s.
  for (let wait = 1000, left = resolver.retries; ; wait = Math.min(20_000, wait * 1.2), left--) {
    try {
      const { address } = await resolver.lookup(name.host);
      const found = ofLiteral({ host: address, port: name.port }, place);
      if (found !== null) return found;
      throw new WirestreamError('endpoint-unresolved', `${place}: ${name.host} has the odd address ${address}`);
    } catch (error) {
      // Only that no name server answered may pass.
      const code = (error as NodeJS.ErrnoException).code ?? 'failed';
      if (error instanceof WirestreamError) throw error;
      if (code !== 'EAI_AGAIN' || left <= 0) {
        const reason = code === 'ENOTFOUND' ? 'no such host' : code === 'EAI_AGAIN' ? 'no name server answers' : code;
        throw new WirestreamError(
          'endpoint-unresolved',
          `${place}: Endpoint ${name.host}: ${reason}`,
          'check the name, or give an IP address',
        );
      }
      resolver.say(
        `${place}: Endpoint ${name.host}: no name server answers. Trying again in ${(wait / 1000).toFixed(2)} seconds...`,
      );
      await resolver.sleep(wait);
    }
  }
}

/** The endpoint of a host that is an address already; null when it is a name. */
function ofLiteral({ host, port }: EndpointName, place: string): Endpoint | null {
  const percent = host.indexOf('%');
  const bytes = parseIp(percent < 0 ? host : host.slice(0, percent));
  if (bytes === null) return null;
  const scope = percent < 0 ? 0 : interfaceIndex(host.slice(percent + 1));
  if (percent >= 0 && scope === 0) {
    throw new WirestreamError('endpoint-unresolved', `${place}: there is no interface ${host.slice(percent + 1)}`);
  }
  return endpointOf(bytes, port, scope);
}
