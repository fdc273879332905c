import { sourceKey, type Endpoint } from '../address/endpoint.js';
import {
  COOKIE_REPLY_LENGTH,
  INITIATION_LENGTH,
  MessageType,
  RESPONSE_LENGTH,
  TRANSPORT_OVERHEAD,
} from '../messages/constants.js';
import { isControl } from '../control/message.js';
import { classify, counterHi, counterLo, receiverIndex } from '../messages/parse.js';
import { XNONCE_LENGTH } from '../noise/crypto.js';
import { openInitiation } from '../noise/initiation.js';
import { Keypair, OPEN_FORGED, OPEN_REPLAYED } from '../noise/keypair.js';
import { isOffloadRecord } from '../offload/record.js';
import { SPILL } from '../offload/segment.js';
import type { Slab } from '../slab/slab.js';
import type { Carrier } from '../stream/carrier.js';
import type { Connection } from '../stream/connection.js';
import { PENDING_BYTES, PENDING_NEUTRAL_MAX, PENDING_UNKNOWN_MAX } from '../stream/pending.js';
import type { Device } from './device.js';
import type { DropReason } from './drops.js';
import { innerLength } from './inner.js';
import { deliverOffload } from './offload.js';
import type { Peer } from './peer.js';

/**
 * What becomes of a message that arrived, over either transport.
 *
 * Theory of operation. Each message ends in one of four verdicts, which is all that the stream below needs to know: *authentic* (its
 * sender holds the keys; the connection it came on is that peer's), *rejected* (it is not what it claims to be), *neutral* (it can not be
 * told, or it is authentic but old), or *unknown* (neutral too, but found out by a look-up: data under an index that is not ours, or no
 * longer). An authentic message promotes its connection from the pending list, moves the peer's endpoint, and may move the choice of
 * carrier; nothing else does. Over UDP the order of checks is the kernel's (receive.c); over TCP the source address is proven by
 * TCP's own handshake, so that under load the ration per source is applied at once, without cookies.
 */
const enum Verdict {
  authentic,
  rejected,
  neutral,
  unknown,
}

/** Bytes of a stream. @see Device.readable */
export function receiveStream(
  device: Device,
  now: number,
  connection: Connection,
  slab: Slab,
  start: number,
  end: number,
): void {
  connection.lastInput = now;
  const { reader } = connection;
  reader.attach(slab.bytes, start, end);
  let sound = true;
  while (sound && connection.state !== 'closed' && reader.next()) {
    if (connection.peer === null && reader.found) break;
    const guess = reader.found;
    const verdict = receiveMessage(
      device,
      now,
      slab,
      reader.messageOffset,
      reader.messageLength,
      connection,
      connection.remote,
    );
    if (verdict === Verdict.authentic) connection.accepted();
    else if (connection.peer === null)
      sound =
        (verdict === Verdict.unknown && ++connection.unknown < PENDING_UNKNOWN_MAX) ||
        (verdict === Verdict.neutral && ++connection.neutral < PENDING_NEUTRAL_MAX);
    else if (verdict === Verdict.rejected || guess) connection.rejected();
    else if (verdict === Verdict.unknown) connection.doubted();
  }
  reader.detach();
  if (connection.state === 'closed') return;
  if (connection.peer === null) {
    // One bad byte is enough. The stranger is not told: it is just not listened to until its time is up.
    if (!sound || reader.resyncs > 0 || reader.kept > PENDING_BYTES || reader.missing > PENDING_BYTES) {
      connection.wantsInput = false;
    }
  } else if (connection.isBeyondRepair) {
    device.driver.close(connection, true);
    device.closed(now, connection, 'error');
  }
}

/** One datagram. @see Device.datagram */
export function receiveDatagram(
  device: Device,
  now: number,
  slab: Slab,
  offset: number,
  length: number,
  from: Endpoint,
): void {
  receiveMessage(device, now, slab, offset, length, null, from);
}

function receiveMessage(
  device: Device,
  now: number,
  slab: Slab,
  offset: number,
  length: number,
  connection: Connection | null,
  from: Endpoint,
): Verdict {
  const { tap } = device;
  if (tap === null) return judgeMessage(device, now, slab, offset, length, connection, from);
  tap.received(now, connection, from, slab, offset, length);
  const verdict = judgeMessage(device, now, slab, offset, length, connection, from);
  tap.judged();
  return verdict;
}

function judgeMessage(
  device: Device,
  now: number,
  slab: Slab,
  offset: number,
  length: number,
  connection: Connection | null,
  from: Endpoint,
): Verdict {
  switch (classify(slab.bytes, offset, length)) {
    case MessageType.transport:
      return receiveData(device, now, slab, offset, length, connection, from);
    case MessageType.initiation:
      if (!admits(device, now, slab.bytes, offset, INITIATION_LENGTH, connection, from)) return Verdict.rejected;
      return receiveInitiation(device, now, slab.bytes, offset, connection, from);
    case MessageType.response:
      if (!admits(device, now, slab.bytes, offset, RESPONSE_LENGTH, connection, from)) return Verdict.rejected;
      return receiveResponse(device, now, slab.bytes, offset, connection, from);
    case MessageType.cookieReply:
      return receiveCookie(device, now, slab.bytes, offset);
    default:
      device.drops.count('malformed-message');
      return Verdict.rejected;
  }
}

/** Whether a handshake message is worth its Curve25519: MAC1 always, and under load the cookie (UDP) or the ration (TCP). */
function admits(
  device: Device,
  now: number,
  bytes: Uint8Array,
  offset: number,
  length: number,
  connection: Connection | null,
  from: Endpoint,
): boolean {
  const loaded = device.load.count(now);
  const state = device.checker.validate(bytes, offset, length, from, loaded && connection === null, now);
  if (state === 'invalid') return refuse(device, 'bad-mac1');
  if (!loaded || state === 'validCookie') return true;
  if (state === 'rateLimited') return refuse(device, 'rate-limited');
  if (connection !== null) return device.limiter.allow(sourceKey(from), now) || refuse(device, 'rate-limited');
  const reply = device.checker.makeReply(bytes, offset, length, from, device.randomBytes(XNONCE_LENGTH), now);
  const sink = device.driver.datagrams;
  if (reply !== null && sink !== null) {
    const room = sink.reserve(COOKIE_REPLY_LENGTH);
    if (room >= 0) {
      sink.slab.bytes.set(reply, room);
      if (device.tap !== null) device.tap.datagram(now, null, from, sink.slab, room, COOKIE_REPLY_LENGTH);
      sink.commit(room, COOKIE_REPLY_LENGTH, from);
    }
  }
  return refuse(device, 'cookie-sent');
}

function refuse(device: Device, reason: DropReason): false {
  device.drops.count(reason);
  return false;
}

function drop(to: Device | Peer, reason: DropReason, verdict: Verdict): Verdict {
  to.drops.count(reason);
  return verdict;
}

function receiveInitiation(
  device: Device,
  now: number,
  bytes: Uint8Array,
  offset: number,
  connection: Connection | null,
  from: Endpoint,
): Verdict {
  const { identity } = device;
  const opened = identity === null ? null : openInitiation(device.crypto, identity, bytes, offset);
  if (identity === null || opened === null) return drop(device, 'bad-initiation', Verdict.rejected);
  const peer = device.peer(opened.remoteStatic);
  if (peer === undefined) {
    opened.wipe();
    return drop(device, 'unknown-peer', Verdict.rejected);
  }
  if (!belongs(peer, connection)) {
    opened.wipe();
    return drop(peer, 'wrong-carrier', Verdict.neutral);
  }

  const isFirstWord = connection !== null && connection.peer === null;
  const tie = connection !== null && peer.initiations.standsInTie(now);
  const oldIndex = peer.handshake.localIndex;
  const verdict = tie
    ? peer.handshake.acknowledgeInitiation(opened, now)
    : peer.handshake.consumeInitiation(opened, now);
  if (verdict === 'unauthenticated') return drop(peer, 'bad-initiation', Verdict.rejected);
  if (verdict === 'replayed') return drop(peer, 'replayed-initiation', Verdict.neutral);
  if (verdict === 'flooding') return drop(peer, 'initiation-flood', Verdict.neutral);
  peer.rxBytes += INITIATION_LENGTH;
  const carrier = authenticated(device, now, peer, connection, from, true);
  if (isFirstWord && peer.hasSession(now)) peer.doubt.initiated(now, connection, peer.keypairs.current!.birth);
  if (tie) {
    peer.drops.count('initiation-tie');
    peer.initiations.tied(now, connection);
    return Verdict.authentic;
  }
  device.indices.remove(oldIndex);
  const response = device.makeResponse(peer, now);
  if (response === null) return drop(peer, 'bad-initiation', Verdict.rejected);
  const keys = peer.handshake.deriveKeys()!;
  const keypair = new Keypair(device.crypto, keys, now);
  device.indices.get(keypair.localIndex)!.keypair = keypair;
  peer.keypairs.add(keypair);
  peer.sessionDerived(now, true);
  if (carrier !== null) peer.sendControl(now, carrier, response);
  return Verdict.authentic;
}

function receiveResponse(
  device: Device,
  now: number,
  bytes: Uint8Array,
  offset: number,
  connection: Connection | null,
  from: Endpoint,
): Verdict {
  const entry = device.indices.get(receiverIndex(bytes, offset));
  if (entry === undefined || entry.keypair !== null) return drop(device, 'unknown-index', Verdict.neutral);
  const { peer } = entry;
  if (!belongs(peer, connection)) return drop(peer, 'wrong-carrier', Verdict.neutral);
  if (!peer.handshake.consumeResponse(bytes, offset)) return drop(peer, 'bad-response', Verdict.rejected);
  peer.rxBytes += RESPONSE_LENGTH;
  const keypair = new Keypair(device.crypto, peer.handshake.deriveKeys()!, now);
  entry.keypair = keypair;
  peer.keypairs.add(keypair);
  const carrier = authenticated(device, now, peer, connection, from, true);
  peer.sessionDerived(now, false);
  peer.handshakeCompleted(now, carrier);
  // What is staged, or else a keepalive, confirms the new keys to the responder.
  peer.sendKeepalive(now);
  peer.control.announce(now);
  return Verdict.authentic;
}

function receiveCookie(device: Device, now: number, bytes: Uint8Array, offset: number): Verdict {
  const entry = device.indices.get(receiverIndex(bytes, offset));
  if (entry === undefined) return drop(device, 'unknown-index', Verdict.neutral);
  const { peer } = entry;
  const isFirst = !peer.cookies.hasCookie(now);
  if (!peer.cookies.consumeReply(bytes, offset, now)) return drop(peer, 'bad-cookie', Verdict.rejected);
  peer.rxBytes += COOKIE_REPLY_LENGTH;
  if (isFirst) peer.cookieReceived(now);
  // A cookie says nothing of who is there: no endpoint moves (paper §5.3).
  return Verdict.neutral;
}

function receiveData(
  device: Device,
  now: number,
  slab: Slab,
  offset: number,
  length: number,
  connection: Connection | null,
  from: Endpoint,
): Verdict {
  const { bytes } = slab;
  const entry = device.indices.get(receiverIndex(bytes, offset));
  if (entry === undefined || entry.keypair === null) return drop(device, 'unknown-index', Verdict.unknown);
  const { peer, keypair } = entry;
  if (!belongs(peer, connection)) return drop(peer, 'wrong-carrier', Verdict.neutral);
  if (!keypair.canReceive(now)) return drop(peer, 'expired-keypair', Verdict.neutral);
  const { inner } = device.driver;
  const room = inner.reserve(length - TRANSPORT_OVERHEAD + SPILL);
  if (room < 0) return drop(peer, 'tun-full', Verdict.neutral);
  const opened = keypair.open(slab, offset, length, inner.slab, room);
  if (opened === OPEN_FORGED) return drop(peer, 'bad-data', Verdict.rejected);
  if (opened === OPEN_REPLAYED) return drop(peer, 'replayed-data', Verdict.neutral);

  peer.rxBytes += length;
  const newest = keypair.replay.isNewest(counterHi(bytes, offset), counterLo(bytes, offset));
  const carrier = authenticated(device, now, peer, connection, from, newest && keypair !== peer.keypairs.previous);
  const confirmed = peer.keypairs.received(keypair);
  if (confirmed) peer.handshakeCompleted(now, carrier);
  else if (keypair === peer.keypairs.current) peer.doubt.heard(connection);
  // What waited for these keys, or for a connection.
  if (!peer.staged.isEmpty) peer.sendStaged(now);
  if (confirmed) peer.control.announce(now);
  peer.keepFreshReceiving(now);
  if (opened === 0) return Verdict.authentic;
  if (peer.extensions && isControl(inner.slab.bytes, room)) {
    const wrong = peer.control.receive(now, inner.slab.bytes, room, opened, keypair, connection);
    return wrong === null ? Verdict.authentic : drop(peer, wrong, Verdict.authentic);
  }
  peer.timers.dataReceived(now);
  if (peer.control.expectsOffload(keypair) && isOffloadRecord(inner.slab.bytes, room)) {
    const wrong = deliverOffload(device, now, peer, room, opened);
    return wrong === null ? Verdict.authentic : drop(peer, wrong, Verdict.authentic);
  }

  const packet = innerLength(inner.slab.bytes, room, opened);
  if (packet === 0) return drop(peer, 'malformed-inner', Verdict.authentic);
  if (device.allowedIps.lookupSource(inner.slab.bytes, room, packet) !== peer) {
    return drop(peer, 'wrong-source', Verdict.authentic);
  }
  if (device.tap !== null) device.tap.incoming(now, peer, inner.slab, room, packet);
  inner.commit(room, packet, peer);
  return Verdict.authentic;
}

/** Whether a message of this peer's may come that way: over its own transport, and not on a connection that is somebody else's. */
function belongs(peer: Peer, connection: Connection | null): boolean {
  return connection === null
    ? peer.transport !== 'tcp'
    : peer.transport !== 'udp' && (connection.peer ?? peer) === peer;
}

/** An authentic message arrived: promotion, roaming, choice of carrier, timers. @returns the path back to where it came from */
function authenticated(
  device: Device,
  now: number,
  peer: Peer,
  connection: Connection | null,
  from: Endpoint,
  newest: boolean,
): Carrier | null {
  device.touch(peer);
  if (device.tap !== null) device.tap.identified(peer);
  peer.timers.anyReceived();
  peer.timers.anyTraversal(now);
  if (connection === null) {
    if (newest) peer.endpoint.learn(from);
    peer.path.heard();
    return newest || peer.datagram === null ? device.datagramTo(peer, from) : peer.datagram;
  }
  if (connection.peer === null) {
    device.pending.remove(connection);
    connection.peer = peer;
    if (device.tap !== null) device.tap.promoted(connection, peer);
    peer.links.adopt(now, connection);
  }
  peer.links.authenticated(now, connection, newest);
  if (newest) peer.endpoint.learn(connection.remote);
  return connection.isUsable ? connection : peer.links.active;
}
