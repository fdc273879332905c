import type { AllowedIpChange, DeviceSettings, PeerSettings } from '@wirestream/core/device/settings';
import { parsePrefix } from '@wirestream/core/address/ip';
import type { Endpoint } from '@wirestream/core/address/endpoint';
import type { EndpointName } from '@wirestream/core/config/config';
import {
  INTERFACE_KEYS,
  PEER_KEYS,
  findKey,
  show,
  type InterfaceDraft,
  type PeerDraft,
} from '@wirestream/core/config/keys';
import { isZeroKey, parseKey } from '@wirestream/core/config/key';
import { Place } from '@wirestream/core/config/lines';
import { nearestName } from '@wirestream/core/config/names';
import { WirestreamError } from '@wirestream/core/device/errors';

/**
 * The words behind `set NAME`, as wg(8) takes them: those of the device first, then `peer KEY` and what is about that
 * peer, again and again. Beyond wg(8) there are `transport` and `extensions`, for the device and for a peer.
 *
 * Only what is said is changed. `allowed-ips` gives the whole new list, unless one of them has a sign: then `+` adds to and `-`
 * takes from what there is.
 */

/** What the words mean needs of the world. */
export interface WordsContext {
  /** the key in a file; null when the file is empty */
  readKeyFile(path: string): Uint8Array | null;
  resolve(name: EndpointName): Promise<Endpoint>;
}

/** Words that are followed by a value which a file has, too, and what the file calls it. */
const DEVICE_WORDS: Readonly<Record<string, string>> = {
  'listen-port': 'ListenPort',
  fwmark: 'FwMark',
  transport: 'Transport',
  extensions: 'Extensions',
};
const PEER_WORDS: Readonly<Record<string, string>> = {
  endpoint: 'Endpoint',
  'persistent-keepalive': 'PersistentKeepalive',
  transport: 'Transport',
  extensions: 'Extensions',
};
const OTHER_WORDS = ['private-key', 'peer', 'remove', 'preshared-key', 'allowed-ips'];

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

/** Where a word stands: on the command line, which has no lines to name. */
class CommandLine extends Place {
  constructor() {
    super('', 0, []);
  }

  override error(code: string, message: string, hint?: string): WirestreamError {
    return new WirestreamError(code, message, hint);
  }
}

/** @throws WirestreamError invalid-argument, config-bad-value, bad-key, and those of the context */
export async function settingsOfWords(words: readonly string[], context: WordsContext): Promise<DeviceSettings> {
  const place = new CommandLine();
  const device: Mutable<DeviceSettings> & { peers: PeerSettings[] } = { peers: [] };
  let peer: (Mutable<PeerSettings> & { allowedIps: AllowedIpChange[] }) | null = null;
  for (let at = 0; at < words.length;) {
    const word = words[at++]!;
    if (word === 'remove' && peer !== null) {
      peer.remove = true;
      continue;
    }
    const value = words[at++];
    if (value === undefined) throw misplaced(word, peer !== null, true);
    if (word === 'peer') {
      peer = { publicKey: keyOf(value), allowedIps: [] };
      device.peers.push(peer);
    } else if (peer === null && word === 'private-key') device.privateKey = context.readKeyFile(value);
    else if (peer === null && word in DEVICE_WORDS) {
      const { listenPort, fwmark, transport, extensions } = take(
        INTERFACE_KEYS,
        DEVICE_WORDS[word]!,
        value,
        place,
      ) as InterfaceDraft;
      if (listenPort !== undefined) device.listenPort = listenPort;
      if (fwmark !== undefined) device.fwmark = fwmark;
      if (transport !== undefined) device.transport = transport;
      if (extensions !== undefined) device.extensions = extensions;
    } else if (peer !== null && word === 'preshared-key') peer.presharedKey = context.readKeyFile(value);
    else if (peer !== null && word === 'allowed-ips') changeAllowedIps(peer, value, place);
    else if (peer !== null && word === 'transport' && value === 'default') peer.transport = null;
    else if (peer !== null && word === 'extensions' && value === 'default') peer.extensions = null;
    else if (peer !== null && word in PEER_WORDS) {
      const { endpoint, persistentKeepalive, transport, extensions } = take(
        PEER_KEYS,
        PEER_WORDS[word]!,
        value,
        place,
      ) as PeerDraft;
      if (endpoint !== undefined) peer.endpoint = await context.resolve(endpoint);
      if (persistentKeepalive !== undefined) peer.persistentKeepalive = persistentKeepalive;
      if (transport !== undefined) peer.transport = transport;
      if (extensions !== undefined) peer.extensions = extensions;
    } else throw misplaced(word, peer !== null, false);
  }
  return device;
}

/** What the value of a file's key makes of an empty section. */
function take<D extends object>(
  keys: readonly { readonly name: string; set(draft: D, value: string, place: Place): void }[],
  name: string,
  value: string,
  place: Place,
): Partial<D> {
  const draft = {} as D;
  findKey(keys, name)!.set(draft, value.trim(), place);
  return draft;
}

function keyOf(text: string): Uint8Array {
  const key = parseKey(text);
  if (key !== null) return key;
  throw new WirestreamError(
    'bad-key',
    `Key is not the correct length or format: \`${show(text)}'`,
    'a public key is 44 characters of base64, as wirestream pubkey prints it',
  );
}

function changeAllowedIps(
  peer: Mutable<PeerSettings> & { allowedIps: AllowedIpChange[] },
  value: string,
  place: Place,
): void {
  const items = value.replace(/\s/g, '').split(',');
  const signed = items.some((item) => /^[+-]/.test(item));
  if (!signed) peer.replaceAllowedIps = true;
  if (value.trim() === '') return;
  for (const item of items) {
    const prefix = parsePrefix(item.replace(/^[+-]/, ''));
    if (prefix === null) {
      throw place.error(
        'config-bad-value',
        `AllowedIPs: '${show(item)}' is not an address or range`,
        'give them as 10.0.0.2/32,fd00::/64',
      );
    }
    peer.allowedIps.push(item.startsWith('-') ? { prefix, remove: true } : { prefix });
  }
}

function misplaced(word: string, inPeer: boolean, ended: boolean): WirestreamError {
  const known = [...new Set([...Object.keys(DEVICE_WORDS), ...Object.keys(PEER_WORDS), ...OTHER_WORDS])];
  const nearest = nearestName(word, known);
  const hint = !known.includes(word)
    ? nearest === null
      ? `known are: ${known.join(', ')}`
      : `did you mean ${nearest}?`
    : ended
      ? `${word} needs a value behind it`
      : inPeer
        ? `${word} is about the interface, and stands before the first peer`
        : `${word} is about a peer: peer KEY comes first`;
  return new WirestreamError('invalid-argument', `Invalid argument: ${show(word)}`, hint);
}

/** A key that is all zeros is none. */
export function keyOrNull(key: Uint8Array): Uint8Array | null {
  return isZeroKey(key) ? null : key;
}
