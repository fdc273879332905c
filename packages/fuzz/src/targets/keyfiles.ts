import fc from 'fast-check';
import { parseKeys } from '@wirestream/core/capture/keys';
import { formatKey } from '@wirestream/core/config/key';
import { isWirestreamError } from '@wirestream/core/device/errors';
import { configText } from '../arbitraries/configs.js';
import { presharedKey, privateKey } from '../arbitraries/keys.js';
import { must, mustEqual, target } from '../target.js';

interface KeyFile {
  readonly kind: 'key log' | 'sidecar' | 'private key';
  readonly statics: Uint8Array[];
  readonly ephemerals: { readonly privateKey: Uint8Array; readonly presharedKey: Uint8Array | null }[];
  readonly port: number;
  /** characters that are changed, as fractions of a thousand */
  readonly harms: { readonly at: number; readonly to: string }[];
}

const LOCAL = 'LOCAL_STATIC_PRIVATE_KEY';

export const keyFiles = target<KeyFile | string>({
  name: 'key-files',
  says: 'keys are read from every kind of file as they were written; no text crashes the reader, and its errors show no key',
  runs: 100,
  arbitrary: fc.oneof(
    { weight: 3, arbitrary: keyFile() },
    { weight: 1, arbitrary: fc.oneof(fc.string({ maxLength: 200 }), fc.json(), configText) },
  ),
  fromBytes: (bytes) => new TextDecoder().decode(bytes),
  check(input) {
    if (typeof input === 'string') return tryText(input);
    const text = write(input);
    if (input.statics.length + (input.kind === 'private key' ? 0 : input.ephemerals.length) > 0) {
      const keys = parseKeys(text, 'keys');
      mustEqual(keys.kind, input.kind, 'kind of file');
      mustEqual(
        keys.statics.map((one) => one.privateKey),
        input.statics,
        'static keys',
      );
      if (input.kind !== 'private key')
        mustEqual(
          keys.ephemerals.map((one) => one.privateKey),
          input.ephemerals.map((one) => one.privateKey),
          'ephemeral keys',
        );
      if (input.kind === 'key log')
        mustEqual(
          keys.ephemerals.map((one) => one.presharedKey ?? null),
          input.ephemerals.map((one) => one.presharedKey),
          'preshared keys, each with its handshake',
        );
      if (input.kind === 'sidecar')
        mustEqual(
          keys.listenPorts,
          input.statics.map(() => input.port),
          'ports',
        );
    }
    let wrong = text;
    for (const { at, to } of input.harms) {
      const place = Math.floor((at / 1000) * wrong.length);
      wrong = wrong.slice(0, place) + to + wrong.slice(place + 1);
    }
    tryText(wrong);
  },
});

function keyFile(): fc.Arbitrary<KeyFile> {
  return fc.record({
    kind: fc.constantFrom('key log', 'sidecar', 'private key'),
    statics: fc.array(privateKey, { maxLength: 4 }),
    ephemerals: fc.array(fc.record({ privateKey, presharedKey: fc.option(presharedKey) }), { maxLength: 4 }),
    port: fc.integer({ min: 1, max: 65_535 }),
    harms: fc.array(
      fc.record({
        at: fc.nat({ max: 999 }),
        to: fc.constantFrom('', '=', '\n', '{', '[', ']', 'x', '"', ':', '\u00e4'),
      }),
      { maxLength: 4 },
    ),
  });
}

function write({ kind, statics, ephemerals, port }: KeyFile): string {
  if (kind === 'private key') return statics.map((key) => `${formatKey(key)}\n`).join('');
  if (kind === 'key log')
    return [
      '# a comment',
      ...statics.map((key) => `${LOCAL} = ${formatKey(key)}`),
      ...ephemerals.flatMap((one) => [
        `LOCAL_EPHEMERAL_PRIVATE_KEY = ${formatKey(one.privateKey)}`,
        ...(one.presharedKey === null ? [] : [`  PRESHARED_KEY=${formatKey(one.presharedKey)}`]),
      ]),
      '',
    ].join('\n');
  const parties = statics.map((key, i) => [`p${i}`, { private_key: formatKey(key), listen_port: port }] as const);
  return JSON.stringify({
    ...Object.fromEntries(parties),
    preshared_key: null,
    handshake_ephemeral_private_keys: ephemerals.map((one) => formatKey(one.privateKey)),
  });
}

function tryText(text: string): void {
  try {
    parseKeys(text, 'keys');
  } catch (error) {
    must(isWirestreamError(error), () => `not an error for people: ${String(error)}`);
    const said = `${error.message} ${error.hint ?? ''}`;
    for (const key of text.match(/[A-Za-z0-9+/]{43}=/g) ?? []) must(!said.includes(key), 'an error shows a key');
  }
}
