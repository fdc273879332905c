import { parseConfig } from '../config/parse.js';
import { parseKey } from '../config/key.js';
import { WirestreamError } from '../device/errors.js';

/**
 * Files that keys come from, told apart by what is in them: a wg-quick file, a Wireshark key log (also what a capture's own
 * secrets block holds), the JSON sidecar of a recorded capture, or just one private key as `genkey` prints it.
 */

/** A static key pair, or its public half. */
export interface KnownStatic {
  readonly privateKey?: Uint8Array;
  readonly publicKey?: Uint8Array;
  /** what to call its owner */
  readonly name?: string;
}

export interface KnownEphemeral {
  readonly privateKey: Uint8Array;
  /** the preshared key of that handshake, where the source says so */
  readonly presharedKey?: Uint8Array;
}

export interface KnownPreshared {
  readonly key: Uint8Array;
  /** the static public key of the peer that it is shared with, where the source says so */
  readonly peer?: Uint8Array;
}

/** What one source knows. */
export interface KnownKeys {
  readonly kind: 'wg-quick' | 'key log' | 'sidecar' | 'private key';
  readonly statics: readonly KnownStatic[];
  readonly ephemerals: readonly KnownEphemeral[];
  readonly preshared: readonly KnownPreshared[];
  /** ports that the keys' owners listen on, and their outer addresses, where the source says so */
  readonly listenPorts: readonly number[];
  readonly addresses: readonly string[];
}

/** More keys than this in one source are a mistake, and each costs a curve operation. */
const KEYS_MAX = 65536;

/**
 * @param file what to call the source in messages
 * @throws WirestreamError keys-syntax, keys-bad-key, keys-empty, keys-too-many, or what parseConfig throws
 */
export function parseKeys(text: string, file: string): KnownKeys {
  const start = text.replace(/^\ufeff/, '').trimStart();
  const keys = start.startsWith('{')
    ? parseSidecar(text, file)
    : /^[ \t]*\[[ \t]*(interface|peer)[ \t]*\]/im.test(text)
      ? parseQuick(text, file)
      : parseKeyLog(text, file);
  const count = keys.statics.length + keys.ephemerals.length + keys.preshared.length;
  if (count === 0) throw new WirestreamError('keys-empty', `${file}: there are no keys in it`, EXPECTED);
  if (count > KEYS_MAX)
    throw new WirestreamError('keys-too-many', `${file}: ${count} keys; at most ${KEYS_MAX} are taken`);
  return keys;
}

const EXPECTED = 'a wg-quick file, a Wireshark key log, or the JSON sidecar of a capture is expected';

/** A whole line that is one key and nothing else. */
const BARE_KEY = /^[A-Za-z0-9+/]{43}=$/;

/**
 * Lines of `TYPE = base64`, as Wireshark's wg.keylog_file has them; a preshared key belongs to the ephemeral key before it.
 * Empty lines and those that begin with # are skipped.
 */
export function parseKeyLog(text: string, file: string): KnownKeys {
  const statics: KnownStatic[] = [];
  const ephemerals: { privateKey: Uint8Array; presharedKey?: Uint8Array }[] = [];
  const preshared: KnownPreshared[] = [];
  let bare = true;
  let number = 0;
  for (const raw of text.replace(/^\ufeff/, '').split('\n')) {
    number++;
    const line = raw.trim();
    if (line === '' || line.startsWith('#')) continue;
    const where = `${file}:${number}`;
    const isBare = BARE_KEY.test(line);
    const equals = isBare ? -1 : line.indexOf('=');
    const type = isBare ? 'LOCAL_STATIC_PRIVATE_KEY' : line.slice(0, equals).trim();
    const value = line.slice(equals + 1).trim();
    if (!isBare) bare = false;
    const key = parseKey(value);
    // The line itself is not shown: it may hold a secret.
    if (!TYPES.includes(type)) throw new WirestreamError('keys-syntax', `${where}: not a line of a key log`, EXPECTED);
    if (key === null) throw new WirestreamError('keys-bad-key', `${where}: ${type} is not a key of 32 bytes in base64`);
    if (type === 'LOCAL_STATIC_PRIVATE_KEY') statics.push({ privateKey: key });
    else if (type === 'REMOTE_STATIC_PUBLIC_KEY') statics.push({ publicKey: key });
    else if (type === 'LOCAL_EPHEMERAL_PRIVATE_KEY') ephemerals.push({ privateKey: key });
    else {
      preshared.push({ key });
      const last = ephemerals[ephemerals.length - 1];
      if (last !== undefined) last.presharedKey = key;
    }
  }
  return { kind: bare ? 'private key' : 'key log', statics, ephemerals, preshared, listenPorts: [], addresses: [] };
}

/** Wireshark's names (epan/dissectors/packet-wireguard.c documents them; REMOTE is public, LOCAL private). */
const TYPES = ['LOCAL_STATIC_PRIVATE_KEY', 'REMOTE_STATIC_PUBLIC_KEY', 'LOCAL_EPHEMERAL_PRIVATE_KEY', 'PRESHARED_KEY'];

function parseQuick(text: string, file: string): KnownKeys {
  const { config } = parseConfig(text, { file, requirePrivateKey: false });
  const statics: KnownStatic[] = [];
  if (config.interface.privateKey !== undefined) statics.push({ privateKey: config.interface.privateKey });
  const ports = config.interface.listenPort === undefined ? [] : [config.interface.listenPort];
  const preshared: KnownPreshared[] = [];
  const addresses: string[] = [];
  for (const peer of config.peers) {
    statics.push({ publicKey: peer.publicKey });
    if (peer.presharedKey !== undefined) preshared.push({ key: peer.presharedKey, peer: peer.publicKey });
    if (peer.endpoint !== undefined) {
      ports.push(peer.endpoint.port);
      addresses.push(peer.endpoint.host);
    }
  }
  return { kind: 'wg-quick', statics, ephemerals: [], preshared, listenPorts: ports.filter((p) => p !== 0), addresses };
}

/**
 * The JSON file beside a recorded capture: any member that is an object with `private_key` or `public_key` is one party,
 * named for the member; `preshared_key` and `handshake_ephemeral_private_keys` are what they say.
 */
function parseSidecar(text: string, file: string): KnownKeys {
  let json: unknown;
  try {
    json = JSON.parse(text.replace(/^\ufeff/, ''));
  } catch {
    throw new WirestreamError('keys-syntax', `${file}: begins like JSON but is not`, EXPECTED);
  }
  const key = (value: unknown, what: string): Uint8Array => {
    const bytes = typeof value === 'string' ? parseKey(value) : null;
    if (bytes === null)
      throw new WirestreamError('keys-bad-key', `${file}: ${what} is not a key of 32 bytes in base64`);
    return bytes;
  };
  const root = json as Record<string, unknown>;
  const statics: KnownStatic[] = [];
  const ports: number[] = [];
  const addresses: string[] = [];
  for (const [name, value] of Object.entries(root)) {
    if (value === null || typeof value !== 'object' || Array.isArray(value)) continue;
    const party = value as Record<string, unknown>;
    if (party['private_key'] === undefined && party['public_key'] === undefined) continue;
    const isParty = name.length <= 16;
    statics.push({
      ...(party['private_key'] === undefined ? {} : { privateKey: key(party['private_key'], `${name}.private_key`) }),
      ...(party['public_key'] === undefined ? {} : { publicKey: key(party['public_key'], `${name}.public_key`) }),
      ...(isParty ? { name } : {}),
    });
    if (typeof party['listen_port'] === 'number') ports.push(party['listen_port']);
    if (typeof party['outer_address'] === 'string') addresses.push(party['outer_address']);
  }
  const shared = root['preshared_key'];
  const list = root['handshake_ephemeral_private_keys'] ?? [];
  if (!Array.isArray(list)) {
    throw new WirestreamError('keys-syntax', `${file}: handshake_ephemeral_private_keys is not a list`);
  }
  return {
    kind: 'sidecar',
    statics,
    ephemerals: list.map((value, i) => ({ privateKey: key(value, `handshake_ephemeral_private_keys[${i}]`) })),
    preshared: shared === undefined || shared === null ? [] : [{ key: key(shared, 'preshared_key') }],
    listenPorts: ports,
    addresses,
  };
}
