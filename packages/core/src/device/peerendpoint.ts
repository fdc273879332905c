import { sameEndpoint, type Endpoint } from '../address/endpoint.js';

/**
 * Where a peer is: what the configuration says, and what its authenticated messages say (roaming, paper §2.1). Over TCP a message's source port is
 * an ephemeral one at which nobody listens, so of a learned address only the address counts, with the configured port; and because
 * nobody may listen there either (the peer may sit behind a NAT), dials alternate between the learned and the configured address.
 */
export class PeerEndpoint {
  #configured: Endpoint | null = null;
  #learned: Endpoint | null = null;
  #configuredIsNext = false;

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
    this.#configuredIsNext = false;
  }

  /** An authenticated message came from there. @returns whether that is new */
  learn(from: Endpoint): boolean {
    if (this.#learned !== null && sameEndpoint(this.#learned, from)) return false;
    if (this.#learned === null || this.#learned.address !== from.address) this.#configuredIsNext = false;
    this.#learned = from;
    return true;
  }

  /** Where to dial this time; each call takes the other of the two addresses, if they differ. Null when no port is known. */
  nextDialTarget(): Endpoint | null {
    const configured = this.#configured;
    const learned = this.#learned;
    if (configured === null || learned === null || learned.address === configured.address) return configured;
    this.#configuredIsNext = !this.#configuredIsNext;
    return this.#configuredIsNext ? { ...learned, port: configured.port } : configured;
  }
}
