import fc from 'fast-check';
import type { Endpoint } from '@wirestream/core/address/endpoint';
import type { Config } from '@wirestream/core/config/config';
import { formatHexKey, formatKey, parseHexKey, parseKey } from '@wirestream/core/config/key';
import { interfaceNameOf, nearestName } from '@wirestream/core/config/names';
import { parseConfig } from '@wirestream/core/config/parse';
import { toDeviceSettings, usesTcp } from '@wirestream/core/config/settings';
import { formatConfig } from '@wirestream/core/config/write';
import { isWirestreamError } from '@wirestream/core/device/errors';
import { endpoint } from '../arbitraries/addresses.js';
import { config, configText } from '../arbitraries/configs.js';
import { must, mustEqual, target } from '../target.js';

interface Written {
  readonly config: Config;
  readonly disguise: number;
  readonly at: number;
  readonly mistake: string;
  readonly endpoint: Endpoint | null;
}

const MISTAKES = [
  'Wombat = 1',
  'no equals sign here',
  '[Nonsense]',
  '= 5',
  'Endpoint == :',
  'PublicKey = short',
  '\u0001',
];

export const configFiles = target<Written>({
  name: 'config',
  says: 'what is written is parsed back equal, however it is spaced and commented; an error names the line it is in',
  runs: 150,
  arbitrary: fc.record({
    config,
    disguise: fc.nat({ max: 15 }),
    at: fc.nat({ max: 200 }),
    mistake: fc.constantFrom(...MISTAKES),
    endpoint: fc.option(endpoint),
  }),
  check({ config: wanted, disguise: how, at, mistake, endpoint: resolved }) {
    const text = formatConfig(wanted);
    mustEqual(sorted(parseConfig(text, { file: 'f' }).config), sorted(wanted), 'configuration');
    const lines = text.split('\n');
    const disguised = lines.map((line) => disguise(line, how)).join(how & 8 ? '\r\n' : '\n');
    mustEqual(sorted(parseConfig(disguised, { file: 'f' }).config), sorted(wanted), 'configuration in disguise');

    const line = at % lines.length;
    const wrong = [...lines.slice(0, line), mistake, ...lines.slice(line)].join('\n');
    const error = failure(() => parseConfig(wrong, { file: 'wg0.conf' }));
    mustEqual(
      error.message.startsWith(`wg0.conf:${line + 1}: `),
      true,
      `place in “${error.message}”, line ${line + 1}`,
    );
    must(!error.message.includes('\n'), 'a message is one line');

    const settings = toDeviceSettings(
      wanted,
      wanted.peers.map(() => resolved),
    );
    mustEqual(
      settings.peers.map((peer) => [
        peer.publicKey,
        peer.endpoint ?? null,
        peer.allowedIps.map(({ prefix }) => prefix),
      ]),
      wanted.peers.map((peer) => [peer.publicKey, resolved, peer.allowedIps]),
      'settings of the peers',
    );
    mustEqual(
      [settings.listenPort, settings.fwmark],
      [wanted.interface.listenPort ?? 0, wanted.interface.fwmark ?? 0],
      'settings',
    );
    const transports = wanted.peers.map((peer) => peer.transport ?? wanted.interface.transport ?? 'udp');
    mustEqual(
      usesTcp(wanted),
      [...transports, wanted.interface.transport ?? 'udp'].some((transport) => transport !== 'udp'),
      'whether TCP is used',
    );
  },
});

/** The same to a parser. */
function disguise(line: string, how: number): string {
  const equals = line.indexOf('=');
  if (equals < 0) return how & 1 ? ` ${line.toUpperCase()}\t# [Peer]` : line;
  const [name, value] = [line.slice(0, equals).trim(), line.slice(equals + 1).trim()];
  return [
    how & 1 ? '\t' : '',
    how & 2 ? name.toLowerCase() : name.toUpperCase(),
    how & 4 ? '=' : ' \t= ',
    value,
    how & 1 ? ' # x' : '',
  ].join('');
}

/** Keys in one order, at every level. */
function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== 'object' || value === null || value instanceof Uint8Array) return value;
  const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(entries.map(([key, part]) => [key, sorted(part)]));
}

function failure(run: () => unknown): Error {
  try {
    run();
  } catch (error) {
    must(isWirestreamError(error), () => `not an error for people: ${String(error)}`);
    return error;
  }
  must(false, 'a mistake passes unnoticed');
}

interface Text {
  readonly text: string;
}

export const configTexts = target<Text>({
  name: 'config-text',
  says: 'no text crashes the parser; its errors are for people and never show a key; what it accepts survives writing',
  runs: 300,
  arbitrary: fc.record({ text: configText }),
  fromBytes: (bytes) => ({ text: new TextDecoder().decode(bytes) }),
  check({ text }) {
    let parsed;
    try {
      parsed = parseConfig(text, { file: 'f', requirePrivateKey: false });
    } catch (error) {
      must(isWirestreamError(error), () => `not an error for people: ${String(error)}`);
      must(!/[\n\r]/.test(error.message) && error.message.startsWith('f:'), () => `message: ${error.message}`);
      return;
    }
    const again = parseConfig(formatConfig(parsed.config), { file: 'f', requirePrivateKey: false });
    mustEqual(sorted(again.config), sorted(parsed.config), 'configuration written and parsed again');
    mustEqual(parsed.peerLines.length, parsed.config.peers.length, 'peers with a line');
  },
});

interface Words {
  readonly key: Uint8Array;
  readonly text: string;
  readonly other: string;
}

export const configWords = target<Words>({
  name: 'config-words',
  says: 'a key has one text in each form; names are files’ names; the nearest word is near',
  runs: 300,
  arbitrary: fc.record({
    key: fc.uint8Array({ minLength: 32, maxLength: 32 }),
    text: fc.oneof(
      fc.string({ maxLength: 50 }),
      fc.stringMatching(/^[A-Za-z0-9+/]{43}=$/),
      fc.stringMatching(/^[a-z]{1,10}\.conf$/),
    ),
    other: fc.string({ maxLength: 12 }),
  }),
  check({ key, text, other }) {
    const base64 = Buffer.from(key).toString('base64');
    mustEqual([formatKey(key), parseKey(base64)], [base64, key], 'base64');
    mustEqual(
      [formatHexKey(key), parseHexKey(Buffer.from(key).toString('hex').toUpperCase())],
      [Buffer.from(key).toString('hex'), key],
      'hex',
    );
    const parsed = parseKey(text);
    mustEqual(
      parsed === null ? null : formatKey(parsed),
      Buffer.from(text, 'base64').toString('base64') === text && text.length === 44 ? text : null,
      'key',
    );
    const name = interfaceNameOf(text);
    if (name !== null) mustEqual([text.endsWith(`${name}.conf`), name.length <= 15], [true, true], 'name');
    mustEqual(nearestName(other, [other]), other, 'nearest of one');
    mustEqual(nearestName('', ['abcdef']), null, 'nearest of nothing');
  },
});
