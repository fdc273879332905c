import { sameEndpoint, type Endpoint } from '../address/endpoint.js';

/**
 * Where a peer is: what the configuration says, and what its authenticated messages say (roaming, paper §2.1). Over TCP a message's source port is
 * an ephemeral one at which nobody listens, so of a learned address only the address counts, with the configured port; and because
 * nobody may listen there either (the peer may sit behind a NAT), dials alternate between the learned and the configured address. A port that the peer
 * announces (control/) is tried beside the configured one, and never instead of it.
 */
export class PeerEndpoint {
  #configured: Endpoint | null = null;
  #learned: Endpoint | null = null;
  /** of the places to dial, which is next */
  #turn = 0;
  #announcedPort = 0;
  #isTranslated = false;

  get configured(): Endpoint | null {
    return this.#configured;
  }

  /** What `show` prints, and where datagrams go: where the peer was heard last, else what is configured. */
  get shown(): Endpoint | null {
    return this.#learned ?? this.#configured;
  }

  configure(endpoint: Endpoint | null): void {
    this.#configured = endpoint;
    this.#learned = null;
    this.#turn = 0;
  }

  /** An authenticated message came from there. @returns whether that is new */
  learn(from: Endpoint): boolean {
    if (this.#learned !== null && sameEndpoint(this.#learned, from)) return false;
    if (this.#learned === null || this.#learned.address !== from.address) this.#turn = 0;
    this.#learned = from;
    return true;
  }

  /** The peer says on which TCP port it listens. @param translated whether it says that only a translation of its address is known here */
  announced(port: number, translated: boolean): void {
    this.#announcedPort = port;
    this.#isTranslated = translated;
  }

  /** Whether the next dial continues a round through the places where the peer may be on account of what it announced. */
  get hasAlternative(): boolean {
    return this.#turn > 0 && this.#turn < this.#targets().length && this.#announces;
  }

  get #announces(): boolean {
    return this.#announcedPort !== 0 && this.#configured !== null && this.#announcedPort !== this.#configured.port;
  }

  /** Where to dial this time; each call takes the next of the places where the peer may be. Null when no port is known. */
  nextDialTarget(): Endpoint | null {
    const targets = this.#targets();
    const target = targets[this.#turn % targets.length] ?? null;
    this.#turn = targets.length === 0 ? 0 : ((this.#turn % targets.length) + 1) % targets.length;
    return target;
  }

  /** The learned address, if it is another; the configured one; and where the peer says that it listens, if that is another port. */
  #targets(): Endpoint[] {
    const configured = this.#configured;
    if (configured === null) return [];
    const learned = this.#learned !== null && this.#learned.address !== configured.address ? this.#learned : null;
    const targets = learned === null ? [configured] : [{ ...learned, port: configured.port }, configured];
    if (this.#announces) {
      const base = this.#isTranslated ? configured : (learned ?? configured);
      targets.push({ ...base, port: this.#announcedPort });
    }
    return targets;
  }
}
