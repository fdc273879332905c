import { createHash } from 'node:crypto';
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { nativeCrypto } from '../../src/noise/native.js';
import { portableCrypto } from '../../src/noise/portable.js';
import { kdf1, kdf2, kdf3 } from '../../src/noise/symmetric.js';
import { Slab } from '../../src/slab/slab.js';
import { LOW_ORDER, PROVIDERS, ascii, hex, keyOf, toHex } from './providers.js';

const EMPTY = new Uint8Array(0);
const range = (n: number) => Uint8Array.from({ length: n }, (_, i) => i);

describe.each(PROVIDERS)('X25519 on %s', (name, crypto) => {
  test.each([
    [
      'a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4',
      'e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c',
      'c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552',
    ],
    [
      '4b66e9d4d1b4673c5ad22691957d6af5c11b6421e0ea01d42ca4169e7918ba0d',
      'e5210f12786811d3f4b7959d0538ae2c31dbe7106fc03c3efc4cd549c715a493',
      '95cbde9476e8907d7aade45cb4b873f88b595a68799fa152e6f8f7647aac7957',
    ],
  ])('RFC 7748 §5.2, %s', (scalar, u, result) => {
    expect(toHex(crypto.sharedSecret(hex(scalar), hex(u))!)).toBe(result);
  });

  test('RFC 7748 §5.2, iterated', () => {
    let k: Uint8Array = hex('0900000000000000000000000000000000000000000000000000000000000000');
    let u = k;
    const after: Record<number, string> = {};
    for (let i = 1; i <= (name === 'native' ? 1000 : 1); i++) {
      [k, u] = [crypto.sharedSecret(k, u)!, k];
      after[i] = toHex(k);
    }
    expect(after[1]).toBe('422c8e7a6227d7bca1350b3e2bb7279f7897b87bb6854b783c60e80311ae3079');
    if (name === 'native') {
      expect(after[1000]).toBe('684cf59ba83309552800ef566f2f4d3c1c3887c49360e3875f2eb94d99532c51');
    }
  });

  test('RFC 7748 §6.1, and the inputs stay as they were', () => {
    const alice = hex('77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a');
    const bob = hex('5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb');
    const copies = [toHex(alice), toHex(bob)];
    expect(toHex(crypto.publicKey(alice))).toBe('8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a');
    expect(toHex(crypto.publicKey(bob))).toBe('de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f');
    const shared = '4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742';
    expect(toHex(crypto.sharedSecret(alice, crypto.publicKey(bob))!)).toBe(shared);
    expect(toHex(crypto.sharedSecret(bob, crypto.publicKey(alice))!)).toBe(shared);
    expect([toHex(alice), toHex(bob)]).toEqual(copies);
  });

  test.each(LOW_ORDER.map((point) => [toHex(point), point] as const))('no secret comes of %s', (_hex, point) => {
    for (let seed = 0; seed < 4; seed++) expect(crypto.sharedSecret(keyOf(seed), point)).toBeNull();
  });

  test('a key of the wrong length is a mistake of the caller', () => {
    for (const length of [0, 31, 33]) {
      expect(() => crypto.publicKey(new Uint8Array(length))).toThrow(RangeError);
      expect(() => crypto.sharedSecret(new Uint8Array(length), keyOf(1))).toThrow(RangeError);
      expect(() => crypto.sharedSecret(keyOf(1), new Uint8Array(length))).toThrow(RangeError);
      expect(() => crypto.cipher(new Uint8Array(length))).toThrow(RangeError);
    }
  });
});

describe.each(PROVIDERS)('BLAKE2s on %s', (_name, crypto) => {
  test('RFC 7693 appendix B', () => {
    expect(toHex(crypto.hash(ascii('abc')))).toBe('508c5e8c327c14e2e1a72ba34eeb452f37458b209ed63a294d999b4c86675982');
    expect(toHex(crypto.hash(ascii('a'), EMPTY, ascii('bc')))).toBe(toHex(crypto.hash(ascii('abc'))));
    expect(toHex(crypto.hash())).toBe('69217a3079908094e11121d042354a7c1f55b6482ca1a51e1b250dfd1ed0eef9');
  });

  test('the keyed hash is 16 bytes of its own, not the first 16 of a longer one', () => {
    const mac = crypto.mac(range(32), ascii('ab'), ascii('c'));
    expect(mac).toHaveLength(16);
    expect(toHex(mac)).toBe(toHex(crypto.mac(range(32), ascii('abc'))));
    expect(toHex(mac)).not.toBe(toHex(crypto.hash(range(32), ascii('abc'))).slice(0, 32));
    expect(toHex(crypto.mac(range(16), ascii('abc')))).not.toBe(toHex(mac));
  });

  test('HMAC agrees with its definition (RFC 2104) on keys of any length', () => {
    const slowHmac = (key: Uint8Array, data: Uint8Array) => {
      const hash = (...parts: Uint8Array[]) => {
        const h = createHash('blake2s256');
        for (const part of parts) h.update(part);
        return new Uint8Array(h.digest());
      };
      const block = new Uint8Array(64);
      block.set(key.length > 64 ? hash(key) : key);
      return hash(
        block.map((b) => b ^ 0x5c),
        hash(
          block.map((b) => b ^ 0x36),
          data,
        ),
      );
    };
    for (const length of [0, 1, 31, 32, 63, 64, 65, 200]) {
      expect(crypto.hmac(range(length), range(length))).toEqual(slowHmac(range(length), range(length)));
    }
  });

  // The same three as in the Go implementation's tests.
  test.each([
    [
      'test-key',
      'test-input',
      '6f0e5ad38daba1bea8a0d213688736f19763239305e0f58aba697f9ffc41c633',
      'df1194df20802a4fe594cde27e92991c8cae66c366e8106aaa937a55fa371e8a',
      'fac6e2745a325f5dc5d11a5b165aad08b0ada28e7b4e666b7c077934a4d76c24',
    ],
    [
      'wireguard',
      'wireguard',
      '491d43bbfdaa8750aaf535e334ecbfe5129967cd64635101c566d4caefda96e8',
      '1e71a379baefd8a79aa4662212fcafe19a23e2b609a3db7d6bcba8f560e3d25f',
      '31e1ae48bddfbe5de38f295e5452b1909a1b4e38e183926af3780b0c1e1f0160',
    ],
    [
      '',
      '',
      '8387b46bf43eccfcf349552a095d8315c4055beb90208fb1be23b894bc2ed5d0',
      '58a0e5f6faefccf4807bff1f05fa8a9217945762040bcec2f4b4a62bdfe0e86e',
      '0ce6ea98ec548f8e281e93e32db65621c45eb18dc6f0a7ad94178610a2f7338e',
    ],
  ])('Kdf1 to Kdf3 of "%s" and "%s"', (key, input, first, second, third) => {
    expect(toHex(kdf1(crypto, ascii(key), ascii(input)))).toBe(first);
    expect(kdf2(crypto, ascii(key), ascii(input)).map(toHex)).toEqual([first, second]);
    expect(kdf3(crypto, ascii(key), ascii(input)).map(toHex)).toEqual([first, second, third]);
  });
});

describe.each(PROVIDERS)('XChaCha20-Poly1305 on %s', (_name, crypto) => {
  const key = range(256).subarray(0x80, 0xa0);
  const nonce = range(256).subarray(0x40, 0x58);
  const aad = hex('50515253c0c1c2c3c4c5c6c7');
  const plaintext = ascii(
    "Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, sunscreen would be it.",
  );
  const sealed = hex(`
    bd6d179d3e83d43b9576579493c0e939572a1700252bfaccbed2902c21396cbb731c7f1b0b4aa6440bf3a82f4eda7e39
    ae64c6708c54c216cb96b72e1213b4522f8c9ba40db5d945b11b69b982c1bb9e3f3fac2bc369488f76b2383565d3fff9
    21f9664c97637da9768812f615c68b13b52ec0875924c1c7987947deafd8780acf49`);

  test('draft-irtf-cfrg-xchacha-03 appendix A.3.1', () => {
    expect(toHex(crypto.xseal(key, nonce, plaintext, aad))).toBe(toHex(sealed));
    expect(crypto.xopen(key, nonce, sealed, aad)).toEqual(plaintext);
  });

  test('anything changed is refused', () => {
    for (let i = 0; i < sealed.length; i++) {
      const damaged = sealed.slice();
      damaged[i]! ^= 0x10;
      expect(crypto.xopen(key, nonce, damaged, aad)).toBeNull();
    }
    expect(crypto.xopen(key, nonce, sealed, EMPTY)).toBeNull();
    expect(crypto.xopen(key, nonce, sealed.subarray(0, 15), aad)).toBeNull();
  });
});

/** A transport vector: nonce is the counter's 8 bytes as they stand in the nonce. */
interface Vector {
  name: string;
  key: string;
  nonce: string;
  plaintext: Uint8Array;
  /** ciphertext, without the tag where the source's tag covers associated data */
  sealed: string;
}
const RFC_A5: Vector = {
  name: 'RFC 8439 appendix A.5 (ciphertext; its tag covers associated data)',
  key: '1c9240a5eb55d38af333888604f6b5f0473917c1402b80099dca5cbc207075c0',
  nonce: '0102030405060708',
  plaintext: Uint8Array.from(
    Buffer.from(
      'Internet-Drafts are draft documents valid for a maximum of six months and may be updated, replaced, or obsoleted ' +
        'by other documents at any time. It is inappropriate to use Internet-Drafts as reference material or to cite them ' +
        'other than as /\u201cwork in progress./\u201d',
    ),
  ),
  sealed: `
    64a0861575861af460f062c79be643bd5e805cfd345cf389f108670ac76c8cb24c6cfc18755d43eea09ee94e382d26b0
    bdb7b73c321b0100d4f03b7f355894cf332f830e710b97ce98c8a84abd0b948114ad176e008d33bd60f982b1ff37c855
    9797a06ef4f0ef61c186324e2b3506383606907b6a7c02b0f9f6157b53c867e4b9166c767b804d46a59b5216cde7a4e9
    9040c5a40433225ee282a1b0a06c523eaf4534d7f83fa1155b0047718cbc546a0d072b04b3564eea1b422273f548271a
    0bb2316053fa76991955ebd63159434ecebb4e466dae5a1073a6727627097a1049e617d91d361094fa68f0ff77987130
    305beaba2eda04df997b714d6c6f2c29a6ad5cb4022b02709b`,
};
// Numbers of lib/crypto/chacha20poly1305-selftest.c in Linux, those without associated data.
const LINUX: Vector[] = [
  {
    name: 'Linux, no plaintext',
    key: '4cf5968338e6ae7f2d292576d5752786919a277afb46c5ef9481795714594068',
    nonce: 'cabf33713245778e',
    plaintext: EMPTY,
    sealed: 'eae01e9e2c91aae1db5d993f8af76992',
  },
  {
    name: 'Linux, one byte',
    key: '66ca9c232a4b4b310e92898bf493c78798a3d839f8f4a701c02e0aa67e5a7887',
    nonce: '201caa5f9cbf9230',
    plaintext: hex('2d'),
    sealed: 'bfe15b0bdb6bf55e6c5d84443981c19cac',
  },
];

const half = (bytes: Uint8Array, at: number) => new DataView(bytes.buffer).getUint32(at, true);

describe.each(PROVIDERS)('the transport cipher on %s', (_name, crypto) => {
  test.each([RFC_A5, ...LINUX].map((v) => [v.name, v] as const))('%s', (_title, v) => {
    const src = Slab.plain(4096);
    const dst = Slab.plain(4096);
    src.bytes.set(v.plaintext, 100);
    const [lo, hi] = [half(hex(v.nonce), 0), half(hex(v.nonce), 4)];
    const cipher = crypto.cipher(hex(v.key));
    const expected = toHex(hex(v.sealed));
    cipher.seal(hi, lo, src, 100, v.plaintext.length, dst, 1000);
    expect(toHex(dst.bytes.subarray(1000, 1000 + expected.length / 2))).toBe(expected);
    const back = Slab.plain(4096);
    expect(cipher.open(hi, lo, dst, 1000, v.plaintext.length + 16, back, 7)).toBe(true);
    expect(back.bytes.subarray(7, 7 + v.plaintext.length)).toEqual(v.plaintext);
  });

  test('in place, and nothing but its own bytes is written', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 300 }),
        fc.nat(63),
        fc.nat(2 ** 32 - 1),
        fc.nat(2 ** 32 - 1),
        fc.boolean(),
        (plaintext, offset, hi, lo, inPlace) => {
          const key = keyOf(hi & 0xff);
          const cipher = crypto.cipher(key);
          key.fill(0xee); // the cipher has its own copy
          const a = Slab.plain(4096);
          const b = inPlace ? a : Slab.plain(4096);
          a.bytes.fill(0xaa);
          b.bytes.fill(0xaa);
          const n = plaintext.length;
          a.bytes.set(plaintext, offset);
          const to = inPlace ? offset : offset + 3;
          cipher.seal(hi, lo, a, offset, n, b, to);
          expect(b.bytes.subarray(0, to).every((x) => x === 0xaa)).toBe(true);
          expect(b.bytes.subarray(to + n + 16).every((x) => x === 0xaa)).toBe(true);
          const sealed = b.bytes.slice(to, to + n + 16);
          expect(crypto.cipher(keyOf(hi & 0xff)).open(hi, lo, b, to, n + 16, a, offset)).toBe(true);
          expect(a.bytes.subarray(offset, offset + n)).toEqual(plaintext);
          if (!inPlace) expect(a.bytes.subarray(offset + n).every((x) => x === 0xaa)).toBe(true);

          b.bytes.set(sealed, to);
          b.bytes[to + (lo % (n + 16))]! ^= 1 << (hi % 8);
          expect(cipher.open(hi, lo, b, to, n + 16, Slab.plain(4096), 0)).toBe(false);
          b.bytes.set(sealed, to);
          expect(cipher.open(hi, (lo + 1) >>> 0, b, to, n + 16, Slab.plain(4096), 0)).toBe(false);
          expect(cipher.open((hi ^ 0x80000000) >>> 0, lo, b, to, n + 16, Slab.plain(4096), 0)).toBe(false);
          expect(cipher.open(hi, lo, b, to, n + 15, Slab.plain(4096), 0)).toBe(false);
        },
      ),
      { numRuns: 60 },
    );
  });

  test('less than a tag is refused', () => {
    const slab = Slab.plain(4096);
    for (let n = 0; n < 16; n++) expect(crypto.cipher(keyOf(1)).open(0, 0, slab, 0, n, slab, 0)).toBe(false);
  });

  test('a wiped cipher no longer knows its key', () => {
    const slab = Slab.plain(4096);
    const cipher = crypto.cipher(keyOf(1));
    cipher.seal(0, 0, slab, 0, 64, slab, 1024);
    cipher.wipe();
    expect(cipher.open(0, 0, slab, 1024, 80, slab, 2048)).toBe(false);
  });
});

test('the providers are equal', () => {
  const bytes = (n: number) => fc.uint8Array({ minLength: n, maxLength: n });
  const [p, n] = [portableCrypto, nativeCrypto];
  fc.assert(
    fc.property(
      bytes(32),
      bytes(32),
      bytes(24),
      fc.nat(2 ** 40),
      fc.uint8Array({ maxLength: 200 }),
      fc.uint8Array({ maxLength: 70 }),
      (a, b, nonce, counter, data, aad) => {
        expect(n.publicKey(a)).toEqual(p.publicKey(a));
        expect(n.sharedSecret(a, b)).toEqual(p.sharedSecret(a, b));
        expect(n.hash(data, aad)).toEqual(p.hash(data, aad));
        expect(n.hmac(a, data, aad)).toEqual(p.hmac(a, data, aad));
        expect(n.mac(a, data, aad)).toEqual(p.mac(a, data, aad));
        const sealed = p.seal(a, counter, data, aad);
        expect(n.seal(a, counter, data, aad)).toEqual(sealed);
        expect(n.open(a, counter, sealed, aad)).toEqual(data);
        expect(p.open(a, counter, sealed, aad)).toEqual(data);
        sealed[counter % sealed.length]! ^= 1;
        expect(n.open(a, counter, sealed, aad)).toBeNull();
        expect(p.open(a, counter, sealed, aad)).toBeNull();
        expect(n.xseal(a, nonce, data, aad)).toEqual(p.xseal(a, nonce, data, aad));
      },
    ),
    { numRuns: 40 },
  );
});
