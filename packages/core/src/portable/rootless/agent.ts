import http from 'node:http';
import https from 'node:https';
import { isIP } from 'node:net';
import type { Duplex } from 'node:stream';
import tls from 'node:tls';
import type { RootlessTunnel } from './tunnel.js';

/** HTTP and fetch through a tunnel: what Node's clients want in order to make their connections in it. */

/** For `http.request` and `http.get`. */
export class TunnelAgent extends http.Agent {
  constructor(
    private readonly tunnel: RootlessTunnel,
    options?: http.AgentOptions,
  ) {
    super(options);
  }

  override createConnection({ host, port }: http.ClientRequestArgs): Duplex {
    return this.tunnel.connect(host!, Number(port));
  }
}

/** For `https.request` and `https.get`: the other end of TLS is the server, the tunnel only carries it. */
export class TunnelHttpsAgent extends https.Agent {
  constructor(
    private readonly tunnel: RootlessTunnel,
    options?: https.AgentOptions,
  ) {
    super(options);
  }

  override createConnection(options: tls.ConnectionOptions): Duplex {
    const socket = this.tunnel.connect(options.host!, options.port!);
    return tls.connect({ ...options, socket });
  }
}

/** What undici, Node's fetch, asks for when it wants a connection. */
export interface Wanted {
  readonly hostname: string;
  readonly protocol: string;
  /** empty: the protocol's */
  readonly port: string;
  readonly servername?: string | null | undefined;
}

/** `new Agent({ connect: tunnelConnector(tunnel) })` of undici is a dispatcher for fetch. */
export function tunnelConnector(tunnel: RootlessTunnel, options: tls.ConnectionOptions = {}) {
  return (wanted: Wanted, connected: (error: Error | null, socket: Duplex | null) => void): void => {
    const isTls = wanted.protocol === 'https:';
    const host = wanted.hostname.replace(/^\[|\]$/g, '');
    const plain = tunnel.connect(host, wanted.port === '' ? (isTls ? 443 : 80) : Number(wanted.port));
    const servername = wanted.servername ?? (isIP(host) === 0 ? host : '');
    const socket = isTls
      ? tls.connect({ ALPNProtocols: ['http/1.1'], host, servername, ...options, socket: plain })
      : plain;
    const failed = (error: Error) => connected(error, null);
    socket.once('error', failed);
    socket.once(isTls ? 'secureConnect' : 'connect', () => {
      socket.removeListener('error', failed);
      connected(null, socket);
    });
  };
}
