import { parsePrefix, type Prefix } from '../address/ip.js';
import { isZeroKey, parseHexKey } from '../config/key.js';
import { parseTransport } from '../config/values.js';
import type { Transport } from '../device/settings.js';
import type { DeviceSnapshot, PeerSnapshot } from '../device/snapshot.js';
import { parseZonedEndpoint, type ZoneIndex } from './endpoint.js';
import { ERRNO, UapiError } from './uapi.js';

type PeerDraft = { -readonly [K in keyof PeerSnapshot]: PeerSnapshot[K] } & { allowedIps: Prefix[] };

/** Longest reply that a client takes, characters. */
export const REPLY_MAX = 256 << 20;

/** Whether a reply has arrived whole: it ends with an empty line. */
export function isWholeReply(text: string): boolean {
  return text.endsWith('\n\n') || text === '\n';
}

/**
 * What an implementation, ours or another, answered to `get=1` or `set=1`. Unknown keys are skipped. The public key of the device is not part
 * of the protocol and stays null; so does what only our own control socket knows.
 * @throws UapiError the error number that it answered, or EPROTO when it is no such answer
 */
export function parseReply(text: string, zone: ZoneIndex = () => 0): DeviceSnapshot {
  let privateKey: Uint8Array | null = null;
  let listenPort = 0;
  let fwmark = 0;
  let transport: Transport = 'udp';
  // Absent where nothing is said of them.
  let extensions: { extensions?: boolean } = {};
  const peers: PeerDraft[] = [];
  let peer: PeerDraft | null = null;
  let errno: number | null = null;
  for (const line of text.split('\n')) {
    if (line === '') continue;
    const equals = line.indexOf('=');
    if (equals < 0) throw new UapiError(ERRNO.protocol, 'reply has a line without =');
    const key = line.slice(0, equals);
    const value = line.slice(equals + 1);
    if (key === 'errno') errno = number(value);
    else if (key === 'public_key') peers.push((peer = newPeer(hexKey(value), transport, extensions)));
    else if (peer !== null) peerLine(peer, key, value, zone);
    else if (key === 'private_key') privateKey = keyOrNull(value);
    else if (key === 'listen_port') listenPort = number(value);
    else if (key === 'fwmark') fwmark = number(value);
    else if (key === 'transport') transport = parseTransport(value) ?? 'udp';
    else if (key === 'extensions') extensions = { extensions: value !== 'off' };
  }
  if (errno === null) throw new UapiError(ERRNO.protocol, 'reply without errno');
  if (errno !== 0) throw new UapiError(-Math.abs(errno), `errno ${errno}`);
  const pending = { size: 0, refusals: {} };
  return { privateKey, publicKey: null, listenPort, fwmark, transport, ...extensions, peers, pending, drops: {} };
}

function newPeer(publicKey: Uint8Array, transport: Transport, extensions: { extensions?: boolean }): PeerDraft {
  return {
    publicKey,
    presharedKey: null,
    endpoint: null,
    allowedIps: [],
    lastHandshake: 0,
    rxBytes: 0,
    txBytes: 0,
    persistentKeepalive: 0,
    transport,
    ...extensions,
    connections: [],
    drops: {},
  };
}

function peerLine(peer: PeerDraft, key: string, value: string, zone: ZoneIndex): void {
  if (key === 'preshared_key') peer.presharedKey = keyOrNull(value);
  else if (key === 'endpoint') peer.endpoint = parseZonedEndpoint(value, zone);
  else if (key === 'last_handshake_time_sec') peer.lastHandshake += number(value) * 1000;
  else if (key === 'last_handshake_time_nsec') peer.lastHandshake += number(value) / 1e6;
  else if (key === 'rx_bytes') peer.rxBytes = number(value);
  else if (key === 'tx_bytes') peer.txBytes = number(value);
  else if (key === 'persistent_keepalive_interval') peer.persistentKeepalive = number(value);
  else if (key === 'transport') peer.transport = parseTransport(value) ?? 'udp';
  else if (key === 'extensions') peer.extensions = value !== 'off';
  else if (key === 'allowed_ip') {
    const prefix = parsePrefix(value);
    if (prefix === null) throw new UapiError(ERRNO.protocol, 'reply has a bad allowed_ip');
    peer.allowedIps.push(prefix);
  }
}

function hexKey(value: string): Uint8Array {
  const key = parseHexKey(value);
  if (key === null) throw new UapiError(ERRNO.protocol, 'reply has a bad key');
  return key;
}

function keyOrNull(value: string): Uint8Array | null {
  const key = hexKey(value);
  return isZeroKey(key) ? null : key;
}

function number(value: string): number {
  if (!/^-?[0-9]{1,20}$/.test(value)) throw new UapiError(ERRNO.protocol, 'reply has a bad number');
  return Number(value);
}
