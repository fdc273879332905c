import { randomFillSync } from 'node:crypto';
import { KEY_LENGTH, TAG_LENGTH, type Crypto } from '@wirestream/core/noise/crypto';
import { nativeCrypto } from '@wirestream/core/noise/native';
import { Slab } from '@wirestream/core/slab/slab';

/** What computes, and what makes the memory that it works on. */
export interface Provider {
  readonly crypto: Crypto;
  readonly makeSlab: (size: number) => Slab;
}

/** Node's own crypto: always there. */
export const plainProvider: Provider = { crypto: nativeCrypto, makeSlab: Slab.plain };

/**
 * The fastest provider that works here. What the faster one is loaded with may be missing on this platform; it is believed
 * when it opens what Node's own crypto has sealed. (A tunnel tests its provider much more thoroughly, and takes its time.)
 */
export async function fastestProvider(): Promise<Provider> {
  try {
    const { chachaPolyCrypto, evpCrypto } = await import('@wirestream/core/linux/choosecrypto');
    const { nativeSlab } = await import('@wirestream/core/linux/nativeslab');
    const fast = [chachaPolyCrypto, evpCrypto].map((crypto) => ({ crypto, makeSlab: nativeSlab }));
    return fast.find(opens) ?? plainProvider;
  } catch {
    return plainProvider;
  }
}

function opens(provider: Provider): boolean {
  try {
    return proves(provider);
  } catch {
    return false;
  }
}

function proves({ crypto, makeSlab }: Provider): boolean {
  const key = randomFillSync(new Uint8Array(KEY_LENGTH));
  const [sealed, opened] = [makeSlab(4096), makeSlab(4096)];
  const length = 1420;
  const text = randomFillSync(new Uint8Array(length));
  sealed.bytes.set(text);
  nativeCrypto.cipher(key).seal(1, 2, sealed, 0, length, sealed, 0);
  const cipher = crypto.cipher(key);
  const isGenuine = cipher.open(1, 2, sealed, 0, length + TAG_LENGTH, opened, 0);
  sealed.bytes[7]! ^= 1;
  const isForged = cipher.open(1, 2, sealed, 0, length + TAG_LENGTH, makeSlab(4096), 0);
  cipher.wipe();
  return isGenuine && !isForged && text.every((byte, i) => opened.bytes[i] === byte);
}
