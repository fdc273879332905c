import { WirestreamError } from '../device/errors.js';
import { EACCES, EADDRINUSE, EADDRNOTAVAIL, EAFNOSUPPORT, EPERM, errnoName } from './errno.js';
import { bindUdp, listenTcp, localEndpoint } from './sockets.js';
import { close } from './syscalls.js';

/**
 * A device's listening sockets: TCP and UDP, IPv4 and IPv6, all at one port (DESIGN §4), as far as asked for. IPv6 may be
 * absent from a system; then IPv4 alone does. Asked for port 0, it looks for one that all of them get.
 */
export interface Listening {
  readonly port: number;
  /** descriptors, or -1 where there is none */
  readonly tcp4: number;
  readonly tcp6: number;
  readonly udp4: number;
  readonly udp6: number;
}

export interface ListenOptions {
  /** 0–65535; 0 for any */
  readonly port: number;
  readonly tcp: boolean;
  readonly udp: boolean;
  /** firewall mark, 0 for none */
  readonly mark?: number;
}

/** Tries of a port that the first socket got by chance and another one then did not. */
const PORT_TRIES = 32;

/**
 * @throws WirestreamError port-in-use, port-forbidden, mark-forbidden, listen-failed; nothing stays open then
 */
export function openListening(options: ListenOptions): Listening {
  for (let attempt = 1; ; attempt++) {
    const sockets: number[] = [];
    const result = tryListening(options, sockets);
    if (typeof result === 'object') return result;
    for (const fd of sockets) close(fd);
    if (options.port === 0 && result === -EADDRINUSE && attempt < PORT_TRIES) continue;
    throw listenError(options, result);
  }
}

/** Opens all, in `sockets` what is open so far; the first error that matters is returned. */
function tryListening(options: ListenOptions, sockets: number[]): Listening | number {
  const { tcp, udp, mark = 0 } = options;
  let port = options.port;
  const opened = { tcp4: -1, tcp6: -1, udp4: -1, udp6: -1 };
  const steps = [
    ['tcp4', tcp, listenTcp, 4],
    ['udp4', udp, bindUdp, 4],
    ['tcp6', tcp, listenTcp, 6],
    ['udp6', udp, bindUdp, 6],
  ] as const;
  for (const [name, wanted, open, family] of steps) {
    if (!wanted) continue;
    const fd = open(family, port, mark);
    if (fd < 0) {
      // No IPv6 in this kernel, or none in this network namespace.
      if (family === 6 && (fd === -EAFNOSUPPORT || fd === -EADDRNOTAVAIL)) continue;
      return fd;
    }
    sockets.push(fd);
    opened[name] = fd;
    if (port === 0) port = localEndpoint(fd)?.port ?? 0;
  }
  return { port, ...opened };
}

export function closeListening(listening: Listening): void {
  for (const fd of [listening.tcp4, listening.tcp6, listening.udp4, listening.udp6]) if (fd >= 0) close(fd);
}

function listenError({ port, mark = 0 }: ListenOptions, result: number): WirestreamError {
  switch (-result) {
    case EADDRINUSE:
      return new WirestreamError(
        'port-in-use',
        `port ${port} is already in use`,
        `choose another ListenPort, or find out who has it with: ss -lntup 'sport = :${port}'`,
      );
    case EACCES:
      return new WirestreamError(
        'port-forbidden',
        `port ${port} needs privileges`,
        'choose a ListenPort from 1024, or run as root',
      );
    case EPERM:
      if (mark !== 0) {
        return new WirestreamError(
          'mark-forbidden',
          'setting a firewall mark needs CAP_NET_ADMIN',
          'leave FwMark out, or run as root',
        );
      }
  }
  return new WirestreamError('listen-failed', `cannot listen on port ${port}: ${errnoName(result)}`);
}
