import type { Connection } from '../stream/connection.js';
import { PENDING_BYTES, PENDING_MAX } from '../stream/pending.js';
import type { Host } from './host.js';
import { Violation } from './violation.js';

/** Connections that one peer may have at once: both directions, a candidate, and a few that drain. */
const CONNECTIONS_MAX = 12;

/**
 * What holds of a device at all times, looked at after each turn of its host:
 *
 * - *bounded strangers*: no more pending connections than DESIGN 4 allows, little kept of what they sent, nothing queued for them;
 * - *bounded connections*: a peer has both directions, a candidate, and a few that drain;
 * - *one active carrier*: it is one of the peer's connections, and there is one as soon as one has authenticated;
 * - *ownership*: each connection of the driver's has one owner, and each that the device holds is one of the driver's;
 * - *known port*: what is dialled is a configured port, never one that somebody dialled from.
 *
 * It runs millions of times in a campaign, so nothing is made on the way.
 *
 * @param ports those that anybody was told of
 */
export function checkInvariants(host: Host, ports: ReadonlySet<number>): void {
  const { device } = host;
  if (device.pending.size > PENDING_MAX) fail(host, 'bounded strangers', `${device.pending.size} pending`);
  const dial = host.dials.length > 0 ? host.dials[host.dials.length - 1]! : null;
  if (dial !== null && !ports.has(dial.port))
    fail(host, 'known port', `dials ${dial.port}, at which nobody said to be`);
  let owned = device.pending.size;
  for (const peer of device.peers.values()) {
    const { active, outbound, inbound, candidate, draining } = peer.links;
    let count = draining.length;
    if (outbound !== null) count++;
    if (inbound !== null) count++;
    if (candidate !== null) count++;
    owned += count;
    if (count > CONNECTIONS_MAX) fail(host, 'bounded connections', `${count} to one peer`);
    if (active !== null && active !== outbound && active !== inbound && active !== candidate)
      fail(host, 'one active carrier', 'the active connection is not one of the peer’s');
    if (active === null && (outbound?.state === 'authenticated' || inbound?.state === 'authenticated'))
      fail(host, 'one active carrier', 'an authenticated connection is there, but none is active');
    for (let i = -3; i < draining.length; i++) {
      const connection = i === -3 ? outbound : i === -2 ? inbound : i === -1 ? candidate : draining[i]!;
      if (connection !== null && (connection.peer !== peer || host.socketOf(connection) === null))
        fail(host, 'ownership', 'a connection is not the peer’s own, or is gone');
    }
  }
  if (owned !== host.connectionCount)
    fail(host, 'ownership', `${host.connectionCount} connections, of which ${owned} have an owner`);
  if (device.pending.size > 0) for (const connection of device.pending.all) checkStranger(host, connection);
}

function checkStranger(host: Host, connection: Connection): void {
  if (connection.peer !== null) fail(host, 'ownership', 'a pending connection is a peer’s as well');
  const { kept } = connection.reader;
  if (kept > PENDING_BYTES + host.options.readMax) fail(host, 'bounded strangers', `${kept} bytes kept of one`);
  if (!connection.outbox.isEmpty) fail(host, 'bounded strangers', 'something is queued to be sent to one');
}

function fail(host: Host, property: string, detail: string): never {
  throw new Violation(property, `${host.options.name}: ${detail}`);
}
