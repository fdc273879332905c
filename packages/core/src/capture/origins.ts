import type { TcpConnection } from './connection.js';

/** Pairs of addresses that are told apart; what comes after is counted as others'. */
const GROUPS_MAX = 16_384;

/** Connections without a single record, from one address to one address and port. */
interface Group {
  readonly from: string;
  readonly to: string;
  readonly port: number;
  /** those that carried no byte at all: refused, timed out, or silent */
  silent: number;
  /** those that carried bytes, none of which was a record */
  talking: number;
}

/**
 * Says which TCP connections of a capture belong to the tunnel.
 *
 * A connection that carried a record does. One that did not may be the tunnel's all the same, an attempt that was refused, that nobody
 * answered, or that was given up before anything was said; or it is a stranger's, or something else altogether. It counts when both
 * its ends are addresses that the tunnel is known to use: from records anywhere in the capture, or from the keys' sources. Where
 * nothing is known, silent connections count: then there is nothing better that they could be.
 */
export class Origins {
  #withRecords = 0;
  #others = 0;
  readonly #groups = new Map<string, Group>();
  readonly #used = new Set<string>();
  readonly #ports: Set<number>;
  readonly #stated: Set<string>;

  /** Messages over UDP were seen: then a TCP connection is the tunnel's only if there is proof. */
  sawUdp = false;

  /** @param addresses of the tunnel's ends, as the keys' sources state them */
  constructor(addresses: Iterable<string>, listenPorts: Iterable<number>) {
    this.#stated = new Set(addresses);
    this.#ports = new Set(listenPorts);
  }

  /** Takes a connection that is over. */
  add(connection: TcpConnection, hasRecords: boolean): void {
    const from = connection.ends[connection.dialler];
    const to = connection.ends[connection.acceptor];
    if (hasRecords) {
      this.#withRecords++;
      if (this.#used.size < GROUPS_MAX) {
        this.#used.add(from.address).add(to.address);
        this.#ports.add(to.port);
      }
      return;
    }
    const key = `${from.address} ${to.text}`;
    let group = this.#groups.get(key);
    if (group === undefined) {
      if (this.#groups.size >= GROUPS_MAX) {
        this.#others++;
        return;
      }
      group = { from: from.address, to: to.address, port: to.port, silent: 0, talking: 0 };
      this.#groups.set(key, group);
    }
    const bytes = connection.streams[0].delivered + connection.streams[1].delivered;
    if (bytes === 0) group.silent++;
    else group.talking++;
  }

  count(): { readonly tunnel: number; readonly other: number } {
    const known = this.#known();
    const strict = this.sawUdp && this.#withRecords === 0;
    let tunnel = this.#withRecords;
    let other = this.#others;
    for (const group of this.#groups.values()) {
      const isProven = known !== null && known.has(group.from) && known.has(group.to) && this.#ports.has(group.port);
      const isOurs = isProven || (!strict && (known === null || (known.has(group.from) && known.has(group.to))));
      tunnel += (isOurs ? group.silent : 0) + (isProven ? group.talking : 0);
      other += (isOurs ? 0 : group.silent) + (isProven ? 0 : group.talking);
    }
    return { tunnel, other };
  }

  /** The addresses of the tunnel's ends; null when there is nothing to go by. */
  #known(): Set<string> | null {
    const known = new Set([...this.#stated, ...this.#used]);
    if (this.#used.size > 0) return known;
    for (const group of this.#groups.values()) if (known.has(group.from) && known.has(group.to)) return known;
    return null;
  }
}
