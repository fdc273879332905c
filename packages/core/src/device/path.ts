import { ABILITY_PROBE } from '../control/abilities.js';
import type { Carrier } from '../stream/carrier.js';
import type { Connection } from '../stream/connection.js';
import type { Peer } from './peer.js';
import type { PathSnapshot } from './snapshot.js';

/**
 * Which transport carries a peer with `Transport = auto`.
 *
 * Theory of operation. The path is where the latest handshake completed, which both ends know without a word; so a move is a handshake on the other transport, and until
 * it completes nothing changes. What is on its way meanwhile is taken on either.
 *
 * *Beginning.* The initiation goes out over UDP at once; when it is unanswered after RACE_DELAY a TCP connection is dialled, and a fresh initiation (the
 * same one would be a replay) goes out there. The first response decides.
 *
 * *UDP falls silent.* Networks may drop all datagrams, or only long ones, at any time. So UDP is not trusted until a probe (a control message of
 * full size) was answered, and not beyond SILENCE after data went out without an answer: then it is probed again. When PROBE_TRIES stay unanswered TCP is
 * dialled. A peer that does not answer probes is given up on UDP when its handshakes fail.
 *
 * *On TCP* UDP is probed every so often, and answered probes lead back. Where UDP was found wanting, a new session begins on TCP for REMEMBERED. When UDP
 * fails soon after a return, the time between probes doubles, to INTERVAL_GROWTH_MAX times; so a network that lets UDP through now and then makes nobody run to and fro.
 */

/** UDP's head start, ms (Happy Eyeballs, RFC 8305 §5, recommends 250; browsers use 300). */
export const RACE_DELAY = 300;
/** Data went out over UDP and nothing came for so long: probes, ms. */
export const SILENCE = 3_000;
/** Probes at once, and the time that each is given, ms: two seconds in all, which is more than a satellite's round trip. */
export const PROBE_TRIES = 3;
export const PROBE_PATIENCE = 700;
/** While on TCP, UDP is probed so often, ms … */
export const PROBE_INTERVAL = 300_000;
/** … but the first time sooner, as one lost datagram is enough to lose the race, ms. */
const FIRST_PROBE = 10_000;
/** A return that lasted less long than this was too early, ms. */
const LASTED = 60_000;
const INTERVAL_GROWTH_MAX = 8;
/** For so long it is remembered that UDP did not work, ms. */
const REMEMBERED = 600_000;
/**
 * Both ends come to TCP in the same moment, probe in the same moment, and would lead back in the same moment; initiations that cross over UDP both fail (initiations.ts).
 * So one end leaves it to the other for so long, ms.
 */
const RETURN_YIELDING = 500;
/** The TCP connections are kept for so long after a return to UDP, for what is on its way, ms. */
const KEEP_TCP = 10_000;
/** A probe's size where no MTU is known, bytes: what every IPv6 path carries (RFC 8200 §5). */
const PROBE_DEFAULT = 1_280;

/** The interval that an environment variable says, in seconds; what is no such number is passed over. @returns ms */
export function probeInterval(text: string | undefined): number {
  const seconds = Number(text ?? NaN);
  return seconds >= 1 ? seconds * 1000 : PROBE_INTERVAL;
}

export class PathChoice {
  current: 'udp' | 'tcp' = 'udp';
  /** why, for people */
  reason = 'not tried yet';
  /** times that the path moved */
  moves = 0;
  /** TCP is wanted beside UDP */
  isRacing = false;

  /** whether a handshake has decided it */
  #isKnown = false;
  #dialAt = Infinity;
  /** data is unanswered over UDP since then */
  #silentSince = Infinity;
  #probeAt = Infinity;
  #tries = 0;
  #token = -1;
  #badUntil = -Infinity;
  #growth = 1;
  #returnedAt = -Infinity;
  #closeTcpAt = Infinity;
  /** UDP was found to carry: when to shake hands there */
  #returnAt = Infinity;

  constructor(private readonly peer: Peer) {}

  /** An initiation went out. */
  initiated(now: number, carrier: Carrier): void {
    if (carrier.transport !== 'udp' || this.current === 'tcp') return;
    // With keys in hand one lost message is no reason yet (RFC 9329 §6.1: repeat before TCP).
    if (this.peer.hasSession(now) && this.peer.timers.attempts === 0) return;
    this.#dialAt = Math.min(this.#dialAt, now + RACE_DELAY);
  }

  /** A handshake begins without keys: where? */
  beginning(now: number): void {
    if (this.current === 'tcp' && this.peer.links.active === null && now >= this.#badUntil) {
      this.current = 'udp';
      this.#isKnown = false;
      this.reason = 'tried first';
    }
  }

  /** A handshake completed there. */
  completed(now: number, carrier: Carrier): void {
    const to = carrier.transport;
    const moved = to !== this.current;
    this.isRacing = false;
    this.#dialAt = this.#silentSince = this.#returnAt = Infinity;
    if (to === 'udp' && !this.peer.links.isEmpty) this.#closeTcpAt = Math.min(this.#closeTcpAt, now + KEEP_TCP);
    if (!moved && this.#isKnown) return;
    const first = !this.#isKnown;
    this.#isKnown = true;
    this.current = to;
    if (moved) this.moves++;
    this.#tries = 0;
    if (to === 'tcp') {
      this.reason = first ? 'UDP did not answer first' : 'UDP does not carry';
      // A return that lasted is no reason to be slow with the next one.
      this.#growth = now < this.#returnedAt + LASTED ? Math.min(this.#growth * 2, INTERVAL_GROWTH_MAX) : 1;
      this.#probeAt = now + (first && now >= this.#badUntil ? Math.min(this.#interval, FIRST_PROBE) : this.#interval);
      this.#closeTcpAt = Infinity;
    } else {
      this.reason = first ? 'UDP answered first' : 'UDP carries again';
      if (!first) this.#returnedAt = now;
      this.#probeAt = Infinity;
      this.#badUntil = -Infinity;
    }
    this.peer.device.moved(now, this.peer, this.reason);
  }

  /** The peer has announced itself, under new keys: the time to see whether long datagrams come through. */
  introduced(now: number): void {
    if (this.current === 'udp') this.#probe(now);
  }

  /** Data went out over UDP. */
  sent(now: number): void {
    if (this.#silentSince === Infinity) this.#silentSince = now;
  }

  /** Something authentic came over UDP. */
  heard(): void {
    this.#silentSince = Infinity;
  }

  answered(now: number, token: number, connection: Connection | null): void {
    if (connection !== null || token !== this.#token) return;
    this.#token = -1;
    this.#tries = 0;
    this.#probeAt = Infinity;
    if (this.current === 'udp') return;
    // Both directions carry full size: a handshake there leads back.
    this.#probeAt = now + this.#interval;
    this.#returnAt = this.peer.initiations.yields ? now + RETURN_YIELDING : now;
    this.peer.device.touch(this.peer);
  }

  /** The peer probes us over UDP while we are on TCP: it will lead back if it can. */
  probed(now: number): void {
    if (this.current === 'tcp' && this.#tries === 0) this.#probeAt = Math.max(this.#probeAt, now + FIRST_PROBE);
  }

  /** Nothing came back for 15 s, or the network changed under the connection. */
  doubted(now: number): void {
    if (this.current === 'udp') this.#fail(now);
    else this.#probe(now);
  }

  /** Handshakes were given up. */
  gaveUp(): void {
    this.isRacing = false;
    this.#dialAt = this.#probeAt = this.#silentSince = this.#returnAt = Infinity;
    this.#tries = 0;
  }

  snapshot(): PathSnapshot {
    const { current, reason, moves } = this;
    return { transport: current, reason, moves };
  }

  next(): number {
    const silence = this.#silentSince === Infinity || this.#tries > 0 ? Infinity : this.#silentSince + SILENCE;
    return Math.min(this.#dialAt, this.#probeAt, this.#closeTcpAt, this.#returnAt, silence);
  }

  wake(now: number): void {
    const { peer } = this;
    if (now >= this.#dialAt) {
      this.#dialAt = Infinity;
      this.isRacing = true;
      peer.links.want(now);
    }
    if (now >= this.#closeTcpAt) {
      this.#closeTcpAt = Infinity;
      if (this.current === 'udp' && !this.isRacing) peer.links.close();
    }
    if (now >= this.#returnAt) {
      this.#returnAt = Infinity;
      if (this.current === 'tcp' && peer.datagram !== null) peer.initiateOver(now, peer.datagram);
    }
    if (now >= this.#probeAt) this.#repeatProbe(now);
    if (this.#tries === 0 && now >= this.#silentSince + SILENCE) {
      this.#silentSince = Infinity;
      if (this.current === 'udp') this.#probe(now);
    }
  }

  clear(): void {
    this.gaveUp();
    this.#closeTcpAt = Infinity;
    this.#token = -1;
  }

  get #interval(): number {
    return this.peer.device.probeInterval * this.#growth;
  }

  /** Begins a round of probes. */
  #probe(now: number): void {
    if ((this.peer.control.abilities & ABILITY_PROBE) === 0 || this.peer.datagram === null) return;
    this.#tries = 0;
    this.#token = Math.floor(this.peer.device.random01() * 0xffff_ffff);
    this.#sendProbe(now);
  }

  #repeatProbe(now: number): void {
    if (this.#tries === 0) {
      this.#probeAt = this.current === 'tcp' ? now + this.#interval : Infinity;
      return this.#probe(now);
    }
    if (this.#tries < PROBE_TRIES) return this.#sendProbe(now);
    this.#tries = 0;
    // An interval is from the beginning of one round to that of the next.
    this.#probeAt = this.current === 'tcp' ? now + this.#interval - PROBE_TRIES * PROBE_PATIENCE : Infinity;
    if (this.current === 'udp') this.#fail(now);
  }

  #sendProbe(now: number): void {
    this.#tries++;
    this.#probeAt = now + PROBE_PATIENCE;
    this.peer.control.sendProbe(now, this.peer.datagram!, this.#token, this.peer.device.mtu || PROBE_DEFAULT);
    this.peer.device.touch(this.peer);
  }

  /** UDP does not carry: TCP is dialled, and speaks when it is there. */
  #fail(now: number): void {
    this.#badUntil = now + REMEMBERED;
    this.isRacing = true;
    const { active } = this.peer.links;
    if (active !== null) this.peer.initiateOver(now, active);
    else this.peer.links.want(now);
  }
}
