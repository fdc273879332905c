import { describe, expect, test } from '@jest/globals';
import { formatKey } from '../../src/config/key.js';
import { KeyRing } from '../../src/capture/keyring.js';
import { parseKeyLog, parseKeys } from '../../src/capture/keys.js';
import { isWirestreamError } from '../../src/device/errors.js';
import { nativeCrypto } from '../../src/noise/native.js';
import { noise } from './frames.js';

const key = (seed: number) => noise(32, seed);
const text = (seed: number) => formatKey(key(seed));

function codeOf(act: () => unknown): [string, string] {
  try {
    act();
  } catch (error) {
    if (isWirestreamError(error)) return [error.code, error.message];
    throw error;
  }
  throw new Error('was taken');
}

describe('files of keys', () => {
  test('a wg-quick file', () => {
    const keys = parseKeys(
      `# comment\n[Interface]\nPrivateKey = ${text(1)}\nListenPort = 51900\n\n[Peer]\nPublicKey = ${text(2)}\nPresharedKey = ${text(3)}\nEndpoint = 192.0.2.7:51901\nAllowedIPs = 10.0.0.0/8\n[Peer]\nPublicKey=${text(4)}\n`,
      'wg0.conf',
    );
    expect(keys).toEqual({
      kind: 'wg-quick',
      statics: [{ privateKey: key(1) }, { publicKey: key(2) }, { publicKey: key(4) }],
      ephemerals: [],
      preshared: [{ key: key(3), peer: key(2) }],
      listenPorts: [51900, 51901],
      addresses: ['192.0.2.7'],
    });
  });

  test('a Wireshark key log: a preshared key belongs to the ephemeral key before it', () => {
    const keys = parseKeys(
      `# log\r\nLOCAL_STATIC_PRIVATE_KEY = ${text(1)}\r\nREMOTE_STATIC_PUBLIC_KEY=${text(2)}\n\nLOCAL_EPHEMERAL_PRIVATE_KEY = ${text(3)}\nPRESHARED_KEY = ${text(4)}\nLOCAL_EPHEMERAL_PRIVATE_KEY = ${text(5)}`,
      'log',
    );
    expect(keys).toMatchObject({
      kind: 'key log',
      statics: [{ privateKey: key(1) }, { publicKey: key(2) }],
      ephemerals: [{ privateKey: key(3), presharedKey: key(4) }, { privateKey: key(5) }],
    });
  });

  test('a sidecar', () => {
    const json = {
      A: { private_key: text(1), public_key: text(2), listen_port: 51821, outer_address: '10.99.0.1' },
      B: { public_key: text(3) },
      unrelated_key_configured_on_B: { private_key: text(4) },
      preshared_key: text(5),
      handshake_ephemeral_private_keys: [text(6), text(7)],
      notes: 'x',
    };
    expect(parseKeys(JSON.stringify(json), 'x.json')).toEqual({
      kind: 'sidecar',
      statics: [
        { privateKey: key(1), publicKey: key(2), name: 'A' },
        { publicKey: key(3), name: 'B' },
        { privateKey: key(4) },
      ],
      ephemerals: [{ privateKey: key(6) }, { privateKey: key(7) }],
      preshared: [{ key: key(5) }],
      listenPorts: [51821],
      addresses: ['10.99.0.1'],
    });
  });

  test('one private key', () => {
    expect(parseKeys(`${text(1)}\n`, 'private.key')).toMatchObject({
      kind: 'private key',
      statics: [{ privateKey: key(1) }],
    });
  });

  test.each([
    ['nothing', '', 'keys-empty', /f: there are no keys/],
    ['only comments', '# a\n', 'keys-empty', /no keys/],
    ['another text', 'hello = world\n', 'keys-syntax', /f:1: not a line/],
    ['a bad key', `\nPRESHARED_KEY = ${text(1).slice(1)}`, 'keys-bad-key', /f:2: PRESHARED_KEY is not a key/],
    ['an unknown type', `MASTER_KEY = ${text(1)}`, 'keys-syntax', /f:1/],
    ['broken JSON', '{"A":', 'keys-syntax', /JSON/],
    ['JSON with a bad key', '{"A":{"private_key":"x"}}', 'keys-bad-key', /A\.private_key/],
    ['JSON with a list that is none', '{"handshake_ephemeral_private_keys":3}', 'keys-syntax', /list/],
    ['JSON without keys', '{"name":"x"}', 'keys-empty', /no keys/],
    ['a wg-quick file with a mistake', '[Interface]\nPrivateKei = x\n', 'config-unknown-key', /f:2/],
  ])('%s is refused in one line that does not show secrets', (_what, content, code, message) => {
    const [found, said] = codeOf(() => parseKeys(content, 'f'));
    expect(found).toBe(code);
    expect(said).toMatch(message);
    expect(said).not.toContain('\n');
    expect(said).not.toContain(text(1).slice(1, 20));
  });

  test('too many keys', () => {
    const many = `PRESHARED_KEY = ${text(1)}\n`.repeat(70_000);
    expect(codeOf(() => parseKeys(many, 'f'))[0]).toBe('keys-too-many');
  });
});

describe('the key ring', () => {
  test('as a key log it is what went in', () => {
    const ring = new KeyRing(nativeCrypto);
    ring.add({
      kind: 'key log',
      statics: [{ privateKey: key(1) }, { publicKey: nativeCrypto.publicKey(key(2)) }],
      ephemerals: [{ privateKey: key(3) }, { privateKey: key(4), presharedKey: key(6) }],
      preshared: [{ key: key(5) }],
      listenPorts: [],
      addresses: [],
    });
    const again = parseKeyLog(ring.toKeyLog(), 'x');
    expect(again.statics).toEqual([{ privateKey: key(1) }, { publicKey: nativeCrypto.publicKey(key(2)) }]);
    expect(again.ephemerals).toEqual([
      { privateKey: key(3), presharedKey: key(5) },
      { privateKey: key(4), presharedKey: key(6) },
    ]);
  });

  test('a private key that is learnt later completes a public one, and names stay', () => {
    const ring = new KeyRing(nativeCrypto);
    const base = { kind: 'key log' as const, ephemerals: [], preshared: [], listenPorts: [], addresses: [] };
    const publicKey = nativeCrypto.publicKey(key(1));
    ring.add({ ...base, statics: [{ publicKey, name: 'B' }] });
    ring.add({ ...base, statics: [{ privateKey: key(1) }] });
    expect(ring.party(publicKey)).toMatchObject({ name: 'B', privateKey: key(1) });
  });

  test('preshared keys are tried in order of likelihood, and no key always', () => {
    const ring = new KeyRing(nativeCrypto);
    const [a, b] = [nativeCrypto.publicKey(key(1)), nativeCrypto.publicKey(key(2))];
    const ephemeral = key(3);
    ring.add({
      kind: 'key log',
      statics: [{ publicKey: a }, { publicKey: b }],
      ephemerals: [{ privateKey: ephemeral, presharedKey: key(10) }],
      preshared: [{ key: key(11) }, { key: key(13), peer: key(99) }, { key: key(12), peer: b }],
      listenPorts: [],
      addresses: [],
    });
    const tried = ring.preshared(ring.party(a), ring.party(b), [nativeCrypto.publicKey(ephemeral)]);
    expect(tried).toEqual([key(10), key(12), new Uint8Array(32), key(11), key(13)]);
  });

  test('strangers cannot make it grow', () => {
    const ring = new KeyRing(nativeCrypto);
    for (let i = 0; i < 5000; i++) ring.discovered(key(i));
    expect([...ring.parties]).toEqual([]);
    expect(ring.isEmpty).toBe(true);
  });
});
