import fc from 'fast-check';

/** Keys, those that must be refused among them. */

const LENGTH = 32;

export const privateKey: fc.Arbitrary<Uint8Array> = fc.uint8Array({ minLength: LENGTH, maxLength: LENGTH });

/** Half of them all zero, which stands for none. */
export const presharedKey: fc.Arbitrary<Uint8Array> = fc.oneof(
  fc.constant(new Uint8Array(LENGTH)),
  fc.uint8Array({ minLength: LENGTH, maxLength: LENGTH }),
);

/** Public keys of low order: any shared secret with them is zero (Curve25519 paper, section 3; RFC 7748 §6.1). */
export const lowOrderPoints: readonly Uint8Array[] = [
  '00'.repeat(32),
  `01${'00'.repeat(31)}`,
  'e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800',
  '5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157',
  `ec${'ff'.repeat(30)}7f`,
  `ed${'ff'.repeat(30)}7f`,
  `ee${'ff'.repeat(30)}7f`,
].map((text) => Uint8Array.from(Buffer.from(text, 'hex')));

export const lowOrderPoint: fc.Arbitrary<Uint8Array> = fc.constantFrom(...lowOrderPoints);
