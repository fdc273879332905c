import type { AnnouncedSnapshot } from '../device/snapshot.js';
import type { Peer } from '../device/peer.js';
import type { Keypair } from '../noise/keypair.js';
import type { Carrier } from '../stream/carrier.js';
import type { Connection } from '../stream/connection.js';
import { abilityNames } from './abilities.js';
import { CONTROL_VERSION, readControl, writeControl, type ControlMessage } from './message.js';
import { ControlRation } from './ration.js';

/**
 * What one peer has told us in control messages, and what we tell it.
 *
 * Theory of operation. After each handshake each side announces itself once under the new keypair: the ports that it listens on, what it can do, and where
 * it sees the other. That is the only control message that a peer gets which has not sent one itself under the same keypair, so that a stock WireGuard
 * gets one per handshake and drops it. All others (a changed port, probes, answers) go to peers that are known to be a wirestream now.
 *
 * For WireGuard's timers a control message is what a keepalive is: who sends one waits for no answer, and who takes one owes none. A stock receiver cannot know that: to it
 * the message is data, and if it has nothing to send itself it answers with one keepalive after 10 s. A keepalive asks for nothing, so that the exchange ends there.
 */

/** Least time between two announcements of changes, ms. The last state is always told in the end. */
const CHANGE_SPACING = 1_000;

export class PeerControl {
  /** what the peer listens on, as it said last; null when it never said */
  tcpPort: number | null = null;
  udpPort: number | null = null;
  /** the peer says that it is behind an address translation as seen from here */
  isTranslated = false;
  /** we are behind an address translation as seen from the peer */
  isSelfTranslated = false;
  /** that the peer announced last; 0 before */
  version = 0;

  #abilities = 0;
  /** the keypair that the peer's announcement came under */
  #heardUnder: Keypair | null = null;
  /** … and that ours went out under */
  #toldUnder: Keypair | null = null;
  #toldAt = -Infinity;
  #changeAt = Infinity;
  readonly #ration = new ControlRation();

  constructor(private readonly peer: Peer) {}

  /** Whether the peer has announced itself under the keypair that we send under now. */
  get isKnown(): boolean {
    return this.#heardUnder !== null && this.#heardUnder === this.peer.keypairs.current && this.peer.extensions;
  }

  /** What the peer has announced that it can do, under the keypair that we send under now: bits of abilities.ts. */
  get abilities(): number {
    return this.isKnown ? this.#abilities : 0;
  }

  /**
   * Whether the peer may send offload records under this keypair: extensions are on, or they were when we told it so, which it believes for as long
   * as the keypair lasts.
   */
  expectsOffload(keypair: Keypair): boolean {
    return this.peer.extensions || keypair === this.#toldUnder;
  }

  /** There is a new keypair, or a path where there was none: announces, unless that was done under this keypair. */
  announce(now: number): void {
    const { keypairs, extensions } = this.peer;
    if (!extensions || keypairs.current === null || keypairs.current === this.#toldUnder) return;
    this.#tell(now);
  }

  /** What we announce is something else now (port, abilities): peers that know us are told at once. */
  changed(now: number): void {
    if (this.#toldUnder === null || !this.isKnown) return;
    if (now >= this.#toldAt + CHANGE_SPACING) return this.#tell(now);
    this.#changeAt = this.#toldAt + CHANGE_SPACING;
    this.peer.device.touch(this.peer);
  }

  /**
   * A control message came from the peer, authentic, under `keypair`.
   * @param connection that it came on; null for UDP
   * @returns what is wrong with it; null when it was taken
   */
  receive(
    now: number,
    bytes: Uint8Array,
    offset: number,
    available: number,
    keypair: Keypair,
    connection: Connection | null,
  ): 'malformed-control' | 'control-flood' | null {
    if (!this.#ration.take(now)) return 'control-flood';
    const message = readControl(bytes, offset, available);
    if (message === null) return 'malformed-control';
    // Of a session that is over: what it says was true then.
    if (keypair !== this.peer.keypairs.current) return null;
    this.#take(now, message, keypair, connection);
    const { peer } = this;
    const path = connection ?? peer.datagram;
    if (message.probe !== undefined && path !== null && this.isKnown) {
      const answer = writeControl({ version: CONTROL_VERSION, probeAnswer: message.probe });
      peer.sendExtension(now, path, answer, available);
      if (connection === null && peer.transport === 'auto') peer.path.probed(now);
    }
    return null;
  }

  #take(now: number, message: ControlMessage, keypair: Keypair, connection: Connection | null): void {
    if (this.#heardUnder !== keypair) {
      this.#heardUnder = keypair;
      this.#abilities = 0;
    }
    this.version = message.version;
    const introduced = this.#abilities === 0 && message.abilities !== undefined;
    if (message.abilities !== undefined) this.#abilities = message.abilities;
    const udpBefore = this.udpPort;
    if (message.tcpPort !== undefined) this.tcpPort = message.tcpPort;
    if (message.udpPort !== undefined) this.udpPort = message.udpPort;
    if (message.translated !== undefined) this.isTranslated = message.translated;
    this.#signal(now, message, connection, udpBefore);
    if (introduced && this.peer.transport === 'auto') this.peer.path.introduced(now);
    const local = connection?.local ?? null;
    if (message.seenAt !== undefined && local !== null) {
      const translated = message.seenAt.address !== local.address;
      if (translated !== this.isSelfTranslated) {
        this.isSelfTranslated = translated;
        this.changed(now);
      }
    }
  }

  /** Where the peer listens, and what it answers. */
  #signal(now: number, message: ControlMessage, connection: Connection | null, udpBefore: number | null): void {
    const { peer } = this;
    if (message.tcpPort !== undefined) peer.endpoint.announced(message.tcpPort, this.isTranslated);
    // Over TCP nothing is learned of where its datagrams come from. What is known already may be a translation's port, and stays.
    const { datagram } = peer;
    const unknown = datagram === null || datagram.remote.port === udpBefore;
    if (connection !== null && peer.transport === 'auto' && unknown && !this.isTranslated && this.udpPort) {
      peer.device.datagramTo(peer, { ...(datagram?.remote ?? connection.remote), port: this.udpPort });
    }
    if (message.probeAnswer !== undefined) peer.path.answered(now, message.probeAnswer, connection);
  }

  /**
   * Asks for an answer of the same size on the same path.
   * @param size of the plaintext, bytes
   */
  sendProbe(now: number, carrier: Carrier, token: number, size: number): void {
    this.peer.sendExtension(now, carrier, writeControl({ version: CONTROL_VERSION, probe: token }), size);
  }

  #tell(now: number): void {
    const { peer } = this;
    const { device } = peer;
    const carrier = peer.carrier;
    if (carrier === null) return;
    const bytes = writeControl({
      version: CONTROL_VERSION,
      tcpPort: device.listensTcp ? device.listenPort : 0,
      udpPort: device.listenPort,
      translated: this.isSelfTranslated,
      abilities: device.abilities,
      seenAt: carrier.remote,
    });
    if (!peer.sendExtension(now, carrier, bytes, bytes.length)) return;
    this.#toldUnder = peer.keypairs.current;
    this.#toldAt = now;
    this.#changeAt = Infinity;
  }

  /** What of this is shown; nothing while the peer is not known. */
  snapshot(): { announced?: AnnouncedSnapshot } {
    if (!this.isKnown) return {};
    const { version, tcpPort, udpPort, isTranslated } = this;
    const abilities = abilityNames(this.#abilities);
    return { announced: { version, tcpPort, udpPort, translated: isTranslated, abilities } };
  }

  /** When `wake` wants to be called. */
  next(): number {
    return this.#changeAt;
  }

  wake(now: number): void {
    if (now < this.#changeAt) return;
    this.#changeAt = Infinity;
    this.changed(now);
  }

  /** The session is over, or the peer: nothing is known of who comes next. */
  clear(): void {
    this.#heardUnder = this.#toldUnder = null;
    this.#changeAt = Infinity;
  }
}
