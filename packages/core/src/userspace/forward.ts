import { parseIp } from '../address/ip.js';
import { WirestreamError } from '../device/errors.js';

/** A host, by name or address (IPv6 without brackets), and a port. */
export interface HostPort {
  readonly host: string;
  readonly port: number;
}

/** A port of this host that leads to a destination inside the tunnel. */
export interface Forward {
  readonly protocol: 'tcp' | 'udp';
  /** port 0: the system chooses */
  readonly listen: HostPort;
  readonly destination: HostPort;
}

/** A port of our tunnel addresses that leads to a service outside. */
export interface RemoteForward {
  readonly protocol: 'tcp' | 'udp';
  /** one of our tunnel addresses, 4 or 16 bytes; null for all */
  readonly address: Uint8Array | null;
  readonly port: number;
  readonly destination: HostPort;
}

const LOCAL = '127.0.0.1';

/**
 * `LISTEN=DESTINATION`, with /udp or /tcp at the end; TCP when there is neither. LISTEN is ADDRESS:PORT, or PORT alone for 127.0.0.1; `*:PORT` listens everywhere.
 * @throws WirestreamError bad-forward
 */
export function parseForward(text: string): Forward {
  const { protocol, left, right } = split(text, '--forward', 'bad-forward', FORWARD_HINT);
  const listen = /^[0-9]+$/.test(left) ? { host: LOCAL, port: portOf(left, true) } : hostPort(left, true);
  const destination = hostPort(right, false);
  if (listen === null || listen.port < 0) {
    throw new WirestreamError('bad-forward', `--forward ${text}: '${left}' is not ADDRESS:PORT or PORT`, FORWARD_HINT);
  }
  if (listen.host !== '*' && listen.host !== 'localhost' && parseIp(listen.host) === null) {
    throw new WirestreamError('bad-forward', `--forward ${text}: '${listen.host}' is not an address`, FORWARD_HINT);
  }
  if (destination === null) {
    throw new WirestreamError('bad-forward', `--forward ${text}: '${right}' is not HOST:PORT`, FORWARD_HINT);
  }
  return { protocol, listen, destination };
}

const FORWARD_HINT = 'write it as 127.0.0.1:8080=10.0.0.2:80 or 5353=10.0.0.2:53/udp; IPv6 addresses in brackets';

/**
 * `LISTEN=DESTINATION`, with /udp or /tcp at the end; TCP when there is neither. LISTEN is a PORT of all our tunnel addresses, or ADDRESS:PORT of one of them.
 * @throws WirestreamError bad-remote-forward
 */
export function parseRemoteForward(text: string): RemoteForward {
  const option = '--remote-forward';
  const { protocol, left, right } = split(text, option, 'bad-remote-forward', REMOTE_HINT);
  const listen = /^[0-9]+$/.test(left) ? { host: '*', port: portOf(left, false) } : hostPort(left, false);
  const address = listen === null || listen.host === '*' ? null : parseIp(listen.host);
  if (listen === null || listen.port < 0 || (address === null && listen.host !== '*')) {
    throw new WirestreamError(
      'bad-remote-forward',
      `${option} ${text}: '${left}' is not a PORT, or ADDRESS:PORT, of this end`,
      REMOTE_HINT,
    );
  }
  const destination = hostPort(right, false);
  if (destination === null) {
    throw new WirestreamError('bad-remote-forward', `${option} ${text}: '${right}' is not HOST:PORT`, REMOTE_HINT);
  }
  return { protocol, address, port: listen.port, destination };
}

const REMOTE_HINT = 'write it as 80=127.0.0.1:8080 or 53=127.0.0.1:5353/udp';

/**
 * Where a proxy listens: `ADDRESS:PORT`, or PORT alone for 127.0.0.1.
 * @throws WirestreamError bad-socks5
 */
export function parseSocks5(text: string): HostPort {
  const listen = /^[0-9]+$/.test(text) ? { host: LOCAL, port: portOf(text, true) } : hostPort(text, true);
  if (listen === null || listen.port < 0 || (listen.host !== 'localhost' && parseIp(listen.host) === null)) {
    throw new WirestreamError('bad-socks5', `--socks5 ${text}: not ADDRESS:PORT or PORT`, 'for example 127.0.0.1:1080');
  }
  return listen;
}

/** `HOST:PORT` as one writes it. */
export function formatHostPort({ host, port }: HostPort): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}

function split(
  text: string,
  option: string,
  code: string,
  hint: string,
): { protocol: 'tcp' | 'udp'; left: string; right: string } {
  const match = /^([^=]+)=([^=]+?)(?:\/(tcp|udp))?$/.exec(text.trim());
  if (match === null) throw new WirestreamError(code, `${option} ${text}: is not LISTEN=DESTINATION`, hint);
  return { protocol: match[3] === 'udp' ? 'udp' : 'tcp', left: match[1]!.trim(), right: match[2]!.trim() };
}

/** Names have letters, digits, hyphens, underscores and dots; what looks like an address must be one. */
function hostPort(text: string, mayBeZero: boolean): HostPort | null {
  const match = /^(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9._-]+|\*)):([0-9]+)$/.exec(text);
  if (match === null) return null;
  const port = portOf(match[3]!, mayBeZero);
  const host = match[1] ?? match[2]!;
  if (port < 0) return null;
  if (match[1] !== undefined && parseIp(host)?.length !== 16) return null;
  if (/^[0-9.]+$/.test(host) && parseIp(host) === null) return null;
  return { host, port };
}

/** -1 when it is none. */
function portOf(text: string, mayBeZero: boolean): number {
  const port = Number(text);
  return text.length <= 5 && port <= 65_535 && (port > 0 || mayBeZero) ? port : -1;
}
