import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { chachaPolyCrypto, chooseCrypto, evpCrypto, selfTest, wantsNativeSlabs } from '../../src/linux/choosecrypto.js';
import { ChaChaPolyCipher } from '../../src/linux/chachapoly.js';
import { EvpCipher } from '../../src/linux/evp.js';
import { nativeSlab } from '../../src/linux/nativeslab.js';
import { nativeCrypto } from '../../src/noise/native.js';
import { portableCrypto } from '../../src/noise/portable.js';
import { Slab } from '../../src/slab/slab.js';
import type { Crypto, TransportCipher } from '../../src/noise/crypto.js';

/** Call lists are there on x86-64 only (linux/calllist.ts). */
const CIPHERS = [
  ['EVP', EvpCipher],
  ...(process.arch === 'x64' ? ([['OpenSSL’s parts', ChaChaPolyCipher]] as const) : []),
] as [string, new (key: Uint8Array) => TransportCipher][];

describe.each(CIPHERS)('transport messages by %s', (_name, Cipher) => {
  test('equal noble at any length, counter and place', () => {
    const a = nativeSlab(8192);
    const b = nativeSlab(8192);
    const c = nativeSlab(8192);
    const word = fc.oneof(fc.constantFrom(0, 1, 0xffff_ffff), fc.nat(0xffff_ffff));
    fc.assert(
      fc.property(
        fc.uint8Array({ minLength: 32, maxLength: 32 }),
        word,
        word,
        fc.uint8Array({ maxLength: 300 }),
        fc.nat(100),
        (key, hi, lo, text, at) => {
          const cipher = new Cipher(key);
          const noble = portableCrypto.cipher(key);
          a.bytes.set(text, at);
          cipher.seal(hi, lo, a, at, text.length, b, 7);
          noble.seal(hi, lo, a, at, text.length, c, 7);
          expect(b.bytes.slice(7, 23 + text.length)).toEqual(c.bytes.slice(7, 23 + text.length));
          expect(noble.open(hi, lo, b, 7, text.length + 16, c, 0)).toBe(true);
          expect(cipher.open(hi, lo, b, 7, text.length + 16, b, 7)).toBe(true);
          expect(b.bytes.slice(7, 7 + text.length)).toEqual(text);
          cipher.wipe();
        },
      ),
      { numRuns: 200 },
    );
  });

  test('any flipped bit, a shorter message, another counter: refused, and the next message is not harmed', () => {
    const slab = nativeSlab(4096);
    const out = nativeSlab(4096);
    const cipher = new Cipher(new Uint8Array(32).fill(9));
    slab.bytes.set([1, 2, 3, 4, 5]);
    cipher.seal(0, 5, slab, 0, 5, slab, 0);
    for (let bit = 0; bit < 21 * 8; bit++) {
      slab.bytes[bit >> 3]! ^= 1 << (bit & 7);
      expect(cipher.open(0, 5, slab, 0, 21, out, 0)).toBe(false);
      slab.bytes[bit >> 3]! ^= 1 << (bit & 7);
    }
    expect(cipher.open(0, 5, slab, 0, 20, out, 0)).toBe(false);
    expect(cipher.open(0, 5, slab, 0, 15, out, 0)).toBe(false);
    expect(cipher.open(0, 6, slab, 0, 21, out, 0)).toBe(false);
    expect(cipher.open(1, 5, slab, 0, 21, out, 0)).toBe(false);
    expect(cipher.open(0, 5, slab, 0, 21, out, 0)).toBe(true);
    expect([...out.bytes.subarray(0, 5)]).toEqual([1, 2, 3, 4, 5]);
    cipher.wipe();
  });

  test('a key may be changed by its owner afterwards, is wiped with the cipher, and is of use no more then', () => {
    const key = new Uint8Array(32).fill(1);
    const slab = nativeSlab(4096);
    const twin = nativeSlab(4096);
    const cipher = new Cipher(key);
    const noble = portableCrypto.cipher(key);
    key.fill(0);
    cipher.seal(0, 0, slab, 0, 10, slab, 0);
    noble.seal(0, 0, twin, 0, 10, twin, 0);
    expect(slab.bytes.subarray(0, 26)).toEqual(twin.bytes.subarray(0, 26));
    cipher.wipe();
    cipher.wipe();
    expect(() => cipher.seal(0, 0, slab, 0, 10, slab, 0)).toThrow('wiped');
    expect(() => cipher.open(0, 0, slab, 0, 26, slab, 0)).toThrow('wiped');
  });

  test('bytes outside a slab and memory that C cannot have are refused before C sees them', () => {
    const cipher = new Cipher(new Uint8Array(32));
    const slab = nativeSlab(4096);
    expect(() => cipher.seal(0, 0, slab, 0, 4090, slab, 0)).toThrow(RangeError);
    expect(() => cipher.seal(0, 0, slab, -1, 10, slab, 0)).toThrow(RangeError);
    expect(() => cipher.open(0, 0, slab, 4090, 20, slab, 0)).toThrow(RangeError);
    expect(() => cipher.open(0, 0, slab, 0, 40, slab, 4090)).toThrow(RangeError);
    expect(() => cipher.seal(0, 0, Slab.plain(4096), 0, 10, slab, 0)).toThrow(RangeError);
    expect(() => new Cipher(new Uint8Array(31))).toThrow(RangeError);
    cipher.wipe();
  });

  test('ciphers that are wiped do not pile up', () => {
    const slab = nativeSlab(4096);
    const rss = (): number => process.memoryUsage.rss();
    const cycle = (n: number): void => {
      for (let i = 0; i < n; i++) {
        const cipher = new Cipher(new Uint8Array(32));
        cipher.seal(0, i, slab, 0, 10, slab, 0);
        cipher.wipe();
      }
    };
    cycle(20_000);
    const before = rss();
    cycle(100_000);
    expect(rss() - before).toBeLessThan(30 * 2 ** 20);
  });
});

describe('the choice', () => {
  const broken = (name: string, change: Partial<Crypto>): Crypto => ({ ...nativeCrypto, ...change, name });
  const wrap = (change: (cipher: TransportCipher) => Partial<TransportCipher>) => (key: Uint8Array) => {
    const cipher = nativeCrypto.cipher(key);
    const base: TransportCipher = {
      seal: (...args) => cipher.seal(...args),
      open: (...args) => cipher.open(...args),
      wipe: () => cipher.wipe(),
    };
    return { ...base, ...change(cipher) };
  };

  test('OpenSSL’s parts where there are call lists, EVP elsewhere, because they equal noble', () => {
    const { crypto, why } = chooseCrypto();
    const onX86 = process.arch === 'x64';
    expect(crypto).toBe(onX86 ? chachaPolyCrypto : evpCrypto);
    expect(why).toContain(onX86 ? 'call list' : 'EVP');
    expect(wantsNativeSlabs(crypto)).toBe(true);
    expect(selfTest(evpCrypto)).toBeNull();
    expect(selfTest(nativeCrypto)).toBeNull();
    expect(selfTest(portableCrypto)).toBeNull();
  });

  test('whatever is wrong with a provider, the next one is taken and the reason given', () => {
    const faulty = [
      broken('no cipher', {
        cipher: () => {
          throw new Error('symbol not found');
        },
      }),
      broken('bad tag', {
        cipher: wrap((cipher) => ({
          seal: (hi, lo, src, at, length, dst, to) => {
            cipher.seal(hi, lo, src, at, length, dst, to);
            dst.bytes[to + length]! ^= 1;
          },
        })),
      }),
      broken('accepts all', {
        cipher: wrap((cipher) => ({
          open: (...args) => {
            cipher.open(...args);
            return true;
          },
        })),
      }),
      broken('half counter', {
        cipher: wrap((cipher) => ({ seal: (_, lo, ...rest) => cipher.seal(0, lo, ...rest) })),
      }),
      broken('wrong hash', { hash: (...parts) => nativeCrypto.hash(...parts).reverse() }),
      broken('low order', { sharedSecret: (a, b) => nativeCrypto.sharedSecret(a, b) ?? new Uint8Array(32) }),
    ];
    for (const crypto of faulty) expect(typeof selfTest(crypto)).toBe('string');
    const choice = chooseCrypto([...faulty, nativeCrypto]);
    expect(choice.crypto).toBe(nativeCrypto);
    for (const { name } of faulty) expect(choice.why).toContain(`not ${name}`);
    expect(choice.why).toContain('symbol not found');
    expect(chooseCrypto(faulty).crypto).toBe(portableCrypto);
  });
});
