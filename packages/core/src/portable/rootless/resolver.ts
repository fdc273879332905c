import { lookup } from 'node:dns/promises';
import { once } from 'node:events';
import { parseIp } from '../../address/ip.js';
import { DNS_PORT, readAnswer, writeQuery, type DnsAnswer } from '../../userspace/dns.js';
import { connectError } from './errors.js';
import type { RootlessTunnel } from './tunnel.js';

/** ms for an answer; then the next server is asked, and all of them once more */
const ANSWER_TIMEOUT = 2_000;
const ROUNDS = 2;

/** Looks up the addresses of hosts, by this host's own means or by name servers inside the tunnel. */
export class Resolver {
  /** @param servers name servers to ask through the tunnel, 4 or 16 bytes each; null: look up here */
  constructor(
    private readonly tunnel: RootlessTunnel,
    private readonly servers: readonly Uint8Array[] | null,
  ) {}

  /**
   * An address of a host, of a family that we have addresses of ourselves.
   * @throws Error ENOTFOUND, EHOSTUNREACH, ETIMEDOUT
   */
  async resolve(host: string): Promise<Uint8Array> {
    const literal = parseIp(host);
    if (literal !== null) return literal;
    const found = this.servers === null ? await here(host) : await this.#inside(host, this.servers);
    const usable = found.find((address) => this.tunnel.stack.sourceFor(address) !== null);
    if (usable === undefined) throw found.length === 0 ? notFound(host) : connectError('unreachable', host, 0);
    return usable;
  }

  async #inside(host: string, servers: readonly Uint8Array[]): Promise<Uint8Array[]> {
    const families = ([4, 6] as const).filter((family) =>
      this.tunnel.stack.sourceFor(new Uint8Array(family === 4 ? 4 : 16)),
    );
    const found = await Promise.all(families.map((family) => this.#ask(host, family, servers)));
    return found.flat();
  }

  async #ask(host: string, family: 4 | 6, servers: readonly Uint8Array[]): Promise<readonly Uint8Array[]> {
    for (let n = 0; n < ROUNDS * servers.length; n++) {
      const query = writeQuery(this.tunnel.randomId(), host, family);
      if (query === null) throw notFound(host);
      const server = servers[n % servers.length]!;
      const answer = await this.#datagram(server, query);
      const whole = answer?.isTruncated === true ? await this.#stream(server, query) : answer;
      if (whole !== null && !whole.isFailure) return whole.addresses;
    }
    throw connectError('timeout', host, 0);
  }

  /** Asks over UDP. @returns null when no answer came in time */
  #datagram(server: Uint8Array, query: Uint8Array): Promise<DnsAnswer | null> {
    const { tunnel } = this;
    return new Promise((resolve) => {
      const source = tunnel.stack.sourceFor(server);
      if (source === null) return resolve(null);
      tunnel.run((now) => {
        const end = (answer: DnsAnswer | null) => {
          clearTimeout(timer);
          resolve(answer);
          if (typeof flow !== 'string') process.nextTick(() => tunnel.run(() => tunnel.stack.udp.remove(flow)));
        };
        const timer = setTimeout(() => end(null), ANSWER_TIMEOUT);
        const flow = tunnel.stack.udp.open(now, source, server, DNS_PORT, {
          send: (bytes) => {
            const answer = readAnswer(bytes, query);
            if (answer !== null) end(answer);
          },
          close: () => undefined,
        });
        if (typeof flow === 'string') end(null);
        else tunnel.stack.udp.datagram(now, flow, query);
      });
    });
  }

  /** Asks over TCP: each message has its length in front (RFC 1035 §4.2.2). */
  async #stream(server: Uint8Array, query: Uint8Array): Promise<DnsAnswer | null> {
    const socket = this.tunnel.connectTo(server, DNS_PORT);
    socket.on('error', () => undefined);
    const timer = setTimeout(() => socket.destroy(), ANSWER_TIMEOUT);
    try {
      socket.write(Buffer.concat([Buffer.of(query.length >> 8, query.length & 0xff), query]));
      let got = Buffer.alloc(0);
      while (got.length < 2 || got.length < 2 + got.readUInt16BE(0)) {
        const [bytes] = (await once(socket, 'data')) as [Buffer];
        got = Buffer.concat([got, bytes]);
      }
      return readAnswer(got.subarray(2, 2 + got.readUInt16BE(0)), query);
    } catch {
      return null;
    } finally {
      clearTimeout(timer);
      socket.destroy();
    }
  }
}

async function here(host: string): Promise<Uint8Array[]> {
  const found = await lookup(host, { all: true });
  return found.map(({ address }) => parseIp(address)).filter((bytes) => bytes !== null);
}

function notFound(host: string): NodeJS.ErrnoException {
  return Object.assign(new Error(`getaddrinfo ENOTFOUND ${host}`), {
    code: 'ENOTFOUND',
    syscall: 'getaddrinfo',
    hostname: host,
  });
}
