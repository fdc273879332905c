import { parseIp, parsePrefix, type Prefix } from '../address/ip.js';
import type { InterfaceConfig, PeerConfig } from './config.js';
import { parseKey } from './key.js';
import type { Place } from './lines.js';
import * as values from './values.js';

/** The keys of both sections, and what a value of each does to the section being read. */

type Mutable<T> = { -readonly [K in keyof T]: T[K] extends readonly (infer E)[] ? E[] : T[K] };
export type InterfaceDraft = Mutable<InterfaceConfig>;
export type PeerDraft = Mutable<Omit<PeerConfig, 'publicKey'>> & { publicKey?: Uint8Array };

/** A key of the file: how it is written, and what a value does. */
export interface Key<Draft> {
  readonly name: string;
  /** whether it may stand in several lines, which add up */
  readonly list?: boolean;
  set(draft: Draft, value: string, place: Place): void;
}

export function findKey<Draft>(keys: readonly Key<Draft>[], name: string): Key<Draft> | undefined {
  const wanted = name.toLowerCase();
  return keys.find((key) => key.name.toLowerCase() === wanted);
}

/** Part of a file, made fit for one line of a message. */
export function show(text: string): string {
  const plain = text.replace(/[^\x20-\x7e]/g, '?');
  return plain.length > 40 ? `${plain.slice(0, 40)}…` : plain;
}

function list(value: string): string[] {
  return value
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== '');
}

/** The value as `parse` understands it, or the error that says what it should have been. */
function take<T>(name: string, value: string, parse: (text: string) => T | null, wanted: string, place: Place): T {
  const result = parse(value);
  if (result !== null) return result;
  throw place.error('config-bad-value', `${name}: ${value === '' ? 'no value' : `'${show(value)}'`} is not ${wanted}`);
}

function takeKey(name: string, value: string, place: Place): Uint8Array {
  const key = parseKey(value);
  if (key !== null) return key;
  const found = value === '' ? 'nothing' : `${value.length} character${value.length === 1 ? '' : 's'}`;
  throw place.error(
    'config-bad-key',
    `${name} is not a key (${found})`,
    'a key is 32 bytes in base64, 44 characters, as wirestream genkey prints it',
  );
}

function single<Draft, K extends keyof Draft>(
  name: string,
  field: K,
  parse: (text: string) => NonNullable<Draft[K]> | null,
  wanted: string,
): Key<Draft> {
  return { name, set: (draft, value, place) => void (draft[field] = take(name, value, parse, wanted, place)) };
}

function secret<Draft, K extends keyof Draft>(name: string, field: K): Key<Draft> {
  return { name, set: (draft, value, place) => void (draft[field] = takeKey(name, value, place) as Draft[K]) };
}

function command(name: string, field: 'preUp' | 'postUp' | 'preDown' | 'postDown'): Key<InterfaceDraft> {
  return {
    name,
    list: true,
    set: (draft, value) => {
      if (value !== '') draft[field].push(value);
    },
  };
}

const CIDR = 'an address or range, such as 10.0.0.2/32 or fd00::/64';

const trueOrFalse = (text: string): boolean | null =>
  /^true$/i.test(text) ? true : /^false$/i.test(text) ? false : null;

export const INTERFACE_KEYS: readonly Key<InterfaceDraft>[] = [
  secret('PrivateKey', 'privateKey'),
  single('ListenPort', 'listenPort', (text) => values.parseNumber(text, 0, 65535), 'a port (0–65535)'),
  single('FwMark', 'fwmark', values.parseFwmark, 'off or a 32-bit number, decimal or 0x…'),
  {
    name: 'Address',
    list: true,
    set: (draft, value, place) => {
      for (const item of list(value)) {
        draft.addresses.push(take('Address', item, values.parseInterfaceAddress, CIDR, place));
      }
    },
  },
  {
    name: 'DNS',
    list: true,
    set: (draft, value, place) => {
      for (const item of list(value)) {
        if (parseIp(item) !== null) draft.dns.push(item);
        else if (values.isHostName(item)) draft.dnsSearch.push(item);
        else take('DNS', item, () => null, 'an IP address or a search domain', place);
      }
    },
  },
  single(
    'MTU',
    'mtu',
    (text) => values.parseNumber(text, values.MTU_MIN, values.MTU_MAX),
    `an MTU (${values.MTU_MIN}–${values.MTU_MAX})`,
  ),
  single('Table', 'table', values.parseTable, 'off, auto, or a routing table'),
  command('PreUp', 'preUp'),
  command('PostUp', 'postUp'),
  command('PreDown', 'preDown'),
  command('PostDown', 'postDown'),
  single('SaveConfig', 'saveConfig', trueOrFalse, 'true or false'),
  single('SaveAnnounced', 'saveAnnounced', trueOrFalse, 'true or false'),
  single('Transport', 'transport', values.parseTransport, 'tcp, udp or auto'),
  single('Extensions', 'extensions', values.parseSwitch, 'on or off'),
];

export const PEER_KEYS: readonly Key<PeerDraft>[] = [
  secret('PublicKey', 'publicKey'),
  secret('PresharedKey', 'presharedKey'),
  {
    name: 'AllowedIPs',
    list: true,
    set: (draft, value, place) => {
      for (const item of list(value)) {
        draft.allowedIps.push(take<Prefix>('AllowedIPs', item, parsePrefix, CIDR, place));
      }
    },
  },
  {
    name: 'Endpoint',
    set: (draft, value, place) => {
      const endpoint = values.parseEndpointName(value);
      if ('wrong' in endpoint) {
        throw place.error('config-bad-value', `Endpoint '${show(value)}': ${endpoint.wrong}`, endpoint.hint);
      }
      draft.endpoint = endpoint;
    },
  },
  single('PersistentKeepalive', 'persistentKeepalive', values.parseKeepalive, 'off or 0–65535 seconds'),
  single('Transport', 'transport', values.parseTransport, 'tcp, udp or auto'),
  single('Extensions', 'extensions', values.parseSwitch, 'on or off'),
];
