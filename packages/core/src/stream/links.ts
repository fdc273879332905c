import type { Endpoint } from '../address/endpoint.js';
import type { CloseReason } from '../device/driver.js';
import type { Peer } from '../device/peer.js';
import type { Connection } from './connection.js';
import type { Outbox } from './outbox.js';
import { Redial } from './redial.js';

/**
 * The TCP connections of one peer: at most one that we dialled (outbound) and one that the peer dialled (inbound), and while we
 * dial anew, the candidate that is to replace the outbound one.
 *
 * Theory of operation.
 *
 * *Two are as good as one.* Both ends may dial at the same moment, and neither connection is torn down because the other exists:
 * closing one's own dial while the other end does the same loses both (the kernel TCP module does that in a true tie). A second connection in the
 * same direction replaces the older one, but only once the peer has authenticated on it.
 *
 * *Choosing.* Outgoing messages take the active connection: the one on which the latest handshake completed, which both ends know without
 * a word. Between handshakes the choice moves to where the peer's newest message arrived, with one restraint against both ends running
 * after each other forever: the initiator of the current keypair leads and moves only when its own choice has been silent, or is
 * suspect; the responder follows at once. Messages older than the newest one received never move anything.
 *
 * *Losing.* End of file, reset, error or stall ends exactly that connection, once. What it had queued as whole records goes to the survivor, or
 * waits for the next connection as long as it is fresh; a record that was partly written is gone. Whoever dialled dials again (redial.ts says when).
 *
 * *Dialling.* Only when something wants the peer to be reachable, and redial.ts does not say later.
 */
export interface LinksOwner {
  /** Whether the peer should be reachable now: something to send, a session to keep, persistent keepalive. */
  wantsLink(now: number): boolean;
  /** Whether there is anywhere to dial; a peer without an endpoint can only dial us. */
  readonly canDial: boolean;
  /** Where to dial this time; null when there is nowhere. */
  dialTarget(): Endpoint | null;
  /** Whether the next dial continues a round through the places where the peer may be on account of what it announced. */
  readonly hasAlternative: boolean;
  /** Whether we made the current keypair's initiation (also when there is none). */
  readonly leads: boolean;
  /**
   * A connection that we dialled is up: say something on it at once, a keepalive where there is a live keypair, an initiation where there is
   * none or where `anew` tells that the other end may have lost its keys. `takesOver`: from now on everything goes out on it.
   */
  greet(now: number, connection: Connection, anew: boolean, takesOver: boolean): void;
  /** There is a connection: what waited for one may go out. */
  linked(now: number): void;
}

/** What the device does for all links. */
export interface LinksHost {
  /** Makes an outbound connection and has the driver dial. */
  open(now: number, remote: Endpoint, links: Links): Connection;
  /** Has the driver send FIN and go on reading. */
  shutdown(connection: Connection): void;
  /** Has the driver end it. */
  close(connection: Connection, abort: boolean): void;
  /** Outgoing messages take this connection from now on. */
  activated(now: number, connection: Connection): void;
  /** uniform in [0, 1) */
  random(): number;
}

/** An established connection on which the peer does not authenticate is given up, ms: three handshake attempts. */
const GREETING_TIMEOUT = 15_000;
/** A replaced connection has this long to deliver what it holds, ms. */
const DRAIN_TIME = 2_000;
/** Silence on the leader's active connection, while the peer speaks elsewhere, after which the leader moves, ms. */
const LEADER_PATIENCE = 1_000;

export class Links {
  outbound: Connection | null = null;
  inbound: Connection | null = null;
  /** dialled, not authenticated yet */
  candidate: Connection | null = null;
  readonly draining: Connection[] = [];
  /** what the connections that have ended came to; what they dropped is among the peer's own drops */
  readonly ended = { connections: 0, resyncs: 0, skippedBytes: 0 };
  /** times that the active carrier moved from one usable connection to another */
  carrierChanges = 0;

  #active: Connection | null = null;
  #candidateDeadline = Infinity;
  #drainDeadline = Infinity;
  /** the other end may have lost its keys with the last connection */
  #anew = false;
  /** WireGuard's own timers say that nothing comes back on the active connection */
  #suspect = false;
  /** whole records of the last connection, for the next one */
  #orphan: Outbox | null = null;
  readonly #redial: Redial;

  /** @param peer whose connections these are; `owner` is the same object, seen as far as links need it */
  constructor(
    readonly peer: Peer,
    private readonly owner: LinksOwner,
    private readonly host: LinksHost,
  ) {
    this.#redial = new Redial(() => host.random());
  }

  /** The connection that outgoing messages take now, or null. */
  get active(): Connection | null {
    return this.#active !== null && this.#active.isUsable ? this.#active : null;
  }

  /** Whether there is none at all. */
  get isEmpty(): boolean {
    return this.outbound === null && this.inbound === null && this.candidate === null && this.draining.length === 0;
  }

  /** All connections, oldest first. */
  get all(): Connection[] {
    return [this.outbound, this.inbound, this.candidate, ...this.draining]
      .filter((c): c is Connection => c !== null)
      .sort((a, b) => a.id - b.id);
  }

  /** Something wants to be sent: sees to it that there is a connection or a dial under way, unless the backoff says later. */
  want(now: number): void {
    if (this.active === null && this.candidate === null && this.#redial.permits(now)) this.#dial(now);
  }

  /** The driver's word that our SYN was answered. */
  dialled(now: number, connection: Connection, local: Endpoint): void {
    if (connection !== this.candidate) return;
    connection.state = 'established';
    connection.local = local;
    connection.establishedAt = now;
    this.#candidateDeadline = now + GREETING_TIMEOUT;
    const takesOver = this.active === null || this.#suspect;
    // The greeting goes first: a peer that has lost its keys stops listening to a stranger that sends nothing but what it cannot open.
    this.owner.greet(now, connection, this.#anew, takesOver);
    if (takesOver) this.#activate(now, connection);
    this.owner.linked(now);
  }

  /** The peer authenticated on a connection of the pending list: it is ours now. */
  adopt(now: number, connection: Connection): void {
    if (this.inbound !== null) this.#drain(now, this.inbound);
    this.inbound = connection;
  }

  /**
   * A valid message of the peer's arrived.
   * @param newest whether it is newer than every one before, so that it tells what the peer prefers now
   */
  authenticated(now: number, connection: Connection, newest: boolean): void {
    connection.lastReceived = now;
    if (connection.state === 'established') {
      connection.state = 'authenticated';
      connection.authenticatedAt = now;
    }
    if (connection === this.candidate) {
      if (this.outbound !== null) this.#drain(now, this.outbound);
      this.outbound = connection;
      this.candidate = null;
      this.#candidateDeadline = Infinity;
    }
    this.#redial.reset();
    this.#anew = false;
    if (connection === this.#active) {
      this.#suspect = false;
    } else if (connection.isUsable) {
      const active = this.active;
      const moves =
        active === null ||
        (newest && (this.#suspect || !this.owner.leads || now - active.lastReceived > LEADER_PATIENCE));
      if (moves) this.#activate(now, connection);
    }
  }

  /** A handshake completed on this connection, at this end: both ends prefer it now. */
  handshakeCompleted(now: number, connection: Connection): void {
    connection.lastHandshake = now;
    if (connection.isUsable) this.#activate(now, connection);
  }

  /** Nothing comes back although we sent: dial anew beside what there is. */
  suspect(now: number): void {
    this.#suspect = true;
    this.#anew = true;
    if (this.candidate === null && this.#redial.permits(now)) this.#dial(now);
  }

  /** The connection that we dialled last: whether the way to the peer is still its way is for the driver to watch. */
  get lastDialled(): Connection | null {
    return this.candidate ?? this.outbound;
  }

  /** The way to the peer changed under a connection (address or route gone): dial anew at once, beside what there is. */
  pathChanged(now: number): void {
    this.#abandonCandidate(now);
    this.#suspect = this.#anew = true;
    this.#redial.reset();
    if (this.owner.wantsLink(now)) this.#dial(now);
  }

  /** The dial target changed by configuration: what was dialled to the old one is of no use any more. */
  retarget(now: number): void {
    this.#redial.reset();
    this.#abandonCandidate(now);
    if (this.owner.wantsLink(now)) {
      if (this.active === null) this.#dial(now);
      else this.pathChanged(now);
    }
  }

  /** The kernel took bytes of a connection's queue. */
  written(connection: Connection): void {
    if (connection.state === 'draining' && connection.outbox.isEmpty) this.host.shutdown(connection);
  }

  /** A connection ended; called exactly once for each. */
  closed(now: number, connection: Connection, reason: CloseReason): void {
    connection.state = 'closed';
    const draining = this.draining.indexOf(connection);
    if (draining >= 0) {
      this.draining.splice(draining, 1);
      if (this.draining.length === 0) this.#drainDeadline = Infinity;
      connection.outbox.close();
      this.#absorb(connection);
      this.#absorbDrops(connection.outbox);
      return;
    }
    if (connection === this.candidate) {
      this.candidate = null;
      this.#candidateDeadline = Infinity;
      this.#anew = true;
      this.#redial.failed(now);
      // Nobody listens there, but the peer said where else: to look there costs nobody a wait.
      if (reason === 'refused' && this.owner.hasAlternative) this.#redial.at = now;
    } else {
      if (connection === this.outbound) this.outbound = null;
      if (connection === this.inbound) this.inbound = null;
      if (reason !== 'error') this.#anew = true;
      this.#redial.lost(now, connection.authenticatedAt);
    }
    this.#bequeath(now, connection);
    if (this.active !== null || this.candidate !== null) return;
    if (connection.authenticatedAt !== -Infinity) {
      this.#redial.nothingLeft(now, connection.authenticatedAt, connection.direction === 'outbound');
    }
    if (now >= this.#redial.at && this.owner.wantsLink(now)) this.#dial(now);
    if (!this.owner.canDial) this.#dropOrphan();
  }

  /** When `wake` wants to be called, ms. */
  next(): number {
    let at = this.#candidateDeadline;
    if (this.#redial.at < at) at = this.#redial.at;
    if (this.#drainDeadline < at) at = this.#drainDeadline;
    if (this.outbound !== null && this.outbound.stallsAt < at) at = this.outbound.stallsAt;
    if (this.inbound !== null && this.inbound.stallsAt < at) at = this.inbound.stallsAt;
    if (this.candidate !== null && this.candidate.stallsAt < at) at = this.candidate.stallsAt;
    return at;
  }

  /** Acts on what is due. */
  wake(now: number): void {
    if (this.candidate !== null && now >= this.#candidateDeadline) this.#give(now, this.candidate);
    for (const connection of [this.outbound, this.inbound, this.candidate]) {
      if (connection !== null && now >= connection.stallsAt) this.#give(now, connection);
    }
    if (now >= this.#drainDeadline) {
      for (const connection of [...this.draining]) {
        this.#end(connection, true);
        this.closed(now, connection, 'timeout');
      }
    }
    if (now >= this.#redial.at) {
      this.#redial.at = Infinity;
      if (!this.owner.wantsLink(now)) this.#dropOrphan();
      else if ((this.active === null || this.#suspect) && this.candidate === null) this.#dial(now);
    }
  }

  /** Ends everything (peer removed, device closed). */
  close(): void {
    for (const connection of this.all) {
      connection.state = 'closed';
      connection.outbox.close();
      this.host.close(connection, false);
    }
    this.outbound = this.inbound = this.candidate = this.#active = null;
    this.draining.length = 0;
    this.#dropOrphan();
    this.#redial.at = this.#candidateDeadline = this.#drainDeadline = Infinity;
  }

  #dial(now: number): void {
    const target = this.owner.dialTarget();
    if (target === null) return;
    this.#candidateDeadline = now + this.#redial.begun(now);
    this.candidate = this.host.open(now, target, this);
  }

  /** The dial under way leads to where the peer is no longer reached. */
  #abandonCandidate(now: number): void {
    const { candidate } = this;
    if (candidate === null) return;
    this.candidate = null;
    this.#candidateDeadline = Infinity;
    this.#end(candidate, true);
    this.#bequeath(now, candidate);
  }

  /** Gives up on a connection as if the driver had reported a time-out. */
  #give(now: number, connection: Connection): void {
    this.#end(connection, true);
    this.closed(now, connection, 'timeout');
  }

  #dropOrphan(): void {
    if (this.#orphan === null) return;
    this.#orphan.close();
    this.#absorbDrops(this.#orphan);
    this.#orphan = null;
  }

  /** An ended connection is shown no more, but what it counted stays with the peer. */
  #absorb({ reader }: Connection): void {
    this.ended.connections++;
    this.ended.resyncs += reader.resyncs;
    this.ended.skippedBytes += reader.skippedBytes;
  }

  /** As `#absorb`, for a queue, which may outlive its connection. */
  #absorbDrops({ drops: { queueFull, queueAge, connectionLost } }: Outbox): void {
    const { drops } = this.peer;
    if (queueFull > 0) drops.count('queue-full', queueFull);
    if (queueAge > 0) drops.count('queue-age', queueAge);
    if (connectionLost > 0) drops.count('connection-lost', connectionLost);
  }

  /** Replaced: nothing new goes out on it, what is queued does, and what still comes in is read. */
  #drain(now: number, connection: Connection): void {
    if (connection === this.outbound) this.outbound = null;
    if (connection === this.inbound) this.inbound = null;
    connection.state = 'draining';
    this.draining.push(connection);
    this.#drainDeadline = Math.min(this.#drainDeadline, now + DRAIN_TIME);
    if (connection.outbox.isEmpty) this.host.shutdown(connection);
  }

  #activate(now: number, connection: Connection): void {
    if (this.#active !== connection && this.#active !== null && this.#active.state !== 'closed') this.carrierChanges++;
    if (this.#active !== connection) this.host.activated(now, connection);
    this.#active = connection;
    this.#suspect = false;
    if (this.#orphan === null) return;
    connection.takeOver(this.#orphan, now);
    this.#absorbDrops(this.#orphan);
    this.#orphan = null;
  }

  /** What an ended connection leaves: its part as the active one, and its whole records, to the survivor or to whichever comes next. */
  #bequeath(now: number, connection: Connection): void {
    if (connection === this.#active) this.#active = this.#survivor();
    this.#absorb(connection);
    if (this.active === null && !connection.outbox.isEmpty) {
      this.#dropOrphan();
      this.#orphan = connection.outbox;
      return;
    }
    this.active?.takeOver(connection.outbox, now);
    this.#absorbDrops(connection.outbox);
  }

  /** Of what is left, the connection on which the peer was heard last. */
  #survivor(): Connection | null {
    let best: Connection | null = null;
    for (const connection of [this.outbound, this.inbound, this.candidate]) {
      if (connection === null || !connection.isUsable) continue;
      if (best === null || connection.lastReceived > best.lastReceived) best = connection;
    }
    return best;
  }

  #end(connection: Connection, abort: boolean): void {
    connection.state = 'closed';
    this.host.close(connection, abort);
  }
}
