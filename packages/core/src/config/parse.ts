import { formatPrefix } from '../address/ip.js';
import { WirestreamError } from '../device/errors.js';
import { emptyInterface, type Config, type PeerConfig } from './config.js';
import { formatKey } from './key.js';
import { INTERFACE_KEYS, PEER_KEYS, findKey, show, type InterfaceDraft, type PeerDraft } from './keys.js';
import { readLines, type Place } from './lines.js';
import { nearestName } from './names.js';

export interface ParsedConfig {
  readonly config: Config;
  /** one line each, with file and line */
  readonly warnings: readonly string[];
  /** where each peer's section begins, and where its Endpoint is, for complaints that come later */
  readonly peerLines: readonly { readonly section: number; readonly endpoint: number }[];
}

export interface ParseOptions {
  /** what to call the file in messages */
  readonly file: string;
  /** whether an [Interface] with a PrivateKey must be there (default: yes) */
  readonly requirePrivateKey?: boolean;
}

/**
 * Parses a wg-quick file.
 * @throws WirestreamError config-syntax, config-too-large, config-unknown-key, config-bad-key (of 32 bytes),
 *   config-bad-value, config-duplicate-peer, config-missing-key
 */
export function parseConfig(text: string, options: ParseOptions): ParsedConfig {
  const warnings: string[] = [];
  const iface: InterfaceDraft = emptyInterface();
  const peers: { draft: PeerDraft; place: Place; endpoint: number }[] = [];
  let interfaceAt: Place | null = null;
  let section: 'none' | 'interface' | 'peer' = 'none';
  const seen = { interface: new Set<string>(), peer: new Set<string>() };
  for (const line of readLines(text, options.file, warnings)) {
    const { place } = line;
    if ('section' in line) {
      const name = line.section.toLowerCase();
      if (name === 'interface') {
        if (interfaceAt !== null) place.warn('a second [Interface]; it adds to the first');
        interfaceAt ??= place;
        section = 'interface';
      } else if (name === 'peer') {
        peers.push({ draft: { allowedIps: [] }, place, endpoint: place.line });
        section = 'peer';
        seen.peer.clear();
      } else {
        throw place.error(
          'config-syntax',
          `unknown section [${show(line.section)}]`,
          'there are [Interface] and [Peer]',
        );
      }
      continue;
    }
    if (section === 'none') {
      throw place.error('config-syntax', `${show(line.key)} stands before any section`, 'begin with [Interface]');
    }
    if (section === 'interface') {
      const key = findKey(INTERFACE_KEYS, line.key);
      if (key === undefined) throw unknownKey(line.key, section, place);
      once(key, seen.interface, place);
      key.set(iface, line.value, place);
    } else {
      const key = findKey(PEER_KEYS, line.key);
      if (key === undefined) throw unknownKey(line.key, section, place);
      const peer = peers[peers.length - 1]!;
      once(key, seen.peer, place);
      if (key.name === 'Endpoint') peer.endpoint = place.line;
      key.set(peer.draft, line.value, place);
    }
  }
  if ((options.requirePrivateKey ?? true) && iface.privateKey === undefined) {
    const message = interfaceAt === null ? 'no [Interface] section' : '[Interface] has no PrivateKey';
    const where = interfaceAt === null ? options.file : `${options.file}:${interfaceAt.line}`;
    throw new WirestreamError('config-missing-key', `${where}: ${message}`, 'make a key with: wirestream genkey');
  }
  return {
    config: { interface: iface, peers: checkPeers(peers) },
    warnings,
    peerLines: peers.map(({ place, endpoint }) => ({ section: place.line, endpoint })),
  };
}

/** Every peer has its own public key, and an address range that two peers claim is worth a warning. */
function checkPeers(peers: readonly { draft: PeerDraft; place: Place }[]): PeerConfig[] {
  const byKey = new Map<string, Place>();
  const byPrefix = new Map<string, PeerDraft>();
  return peers.map(({ draft, place }) => {
    const { publicKey } = draft;
    if (publicKey === undefined) {
      throw place.error(
        'config-missing-key',
        '[Peer] has no PublicKey',
        "it is the other side's: wirestream pubkey < its private key",
      );
    }
    const key = formatKey(publicKey);
    const first = byKey.get(key);
    if (first !== undefined) {
      throw place.error(
        'config-duplicate-peer',
        `duplicate peer: the same PublicKey as in line ${first.line}`,
        'put everything about one peer into one [Peer] section',
      );
    }
    byKey.set(key, place);
    for (const prefix of draft.allowedIps) {
      const range = formatPrefix(prefix);
      const other = byPrefix.get(range);
      if (other !== undefined && other !== draft) {
        place.warn(`AllowedIPs ${range} belongs to an earlier peer, too; it goes to this one`);
      }
      byPrefix.set(range, draft);
    }
    return { ...draft, publicKey };
  });
}

/** wg takes the last of several values; surely that was not meant. */
function once(key: { name: string; list?: boolean }, seen: Set<string>, place: Place): void {
  if (key.list !== true && seen.has(key.name)) place.warn(`${key.name} is given again; this one counts`);
  seen.add(key.name);
}

function unknownKey(key: string, section: 'interface' | 'peer', place: Place): WirestreamError {
  const names = { interface: INTERFACE_KEYS.map(({ name }) => name), peer: PEER_KEYS.map(({ name }) => name) };
  const titles = { interface: 'Interface', peer: 'Peer' };
  const other = section === 'peer' ? 'interface' : 'peer';
  const elsewhere = names[other].find((name) => name.toLowerCase() === key.toLowerCase());
  const nearest = nearestName(key, names[section]);
  const hint =
    elsewhere !== undefined
      ? `${elsewhere} belongs into [${titles[other]}]`
      : nearest !== null
        ? `did you mean ${nearest}?`
        : `known here: ${names[section].join(', ')}`;
  return place.error('config-unknown-key', `unknown key ${show(key)} in [${titles[section]}]`, hint);
}
