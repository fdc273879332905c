import type { Crypto } from '../noise/crypto.js';
import { nativeCrypto } from '../noise/native.js';
import { Slab } from '../slab/slab.js';
import type { DatagramBatches } from './datagrambatches.js';

/** What computes, and what makes the memory that it works on. */
export interface Provider {
  readonly crypto: Crypto;
  readonly makeSlab: (size: number) => Slab;
  /** the same for the few slabs that inner packets pass through: memory that is summed fast */
  readonly makePacketSlab: (size: number) => Slab;
  /** many datagrams with one system call; absent where there is no such thing */
  readonly makeDatagramBatches?: () => DatagramBatches;
}

/** Node's own crypto, which is always there. */
export const plainProvider: Provider = { crypto: nativeCrypto, makeSlab: Slab.plain, makePacketSlab: Slab.plain };

/**
 * The fastest provider for the portable driver here: OpenSSL through koffi where that loads and passes its test, several times as fast as
 * node:crypto's objects, else those.
 * @param native false: nothing native is loaded at all
 */
export async function fastestProvider(native = true): Promise<Provider> {
  if (!native) return plainProvider;
  try {
    const { chooseCrypto, wantsNativeSlabs } = await import('../linux/choosecrypto.js');
    const { nativeSlab } = await import('../linux/nativeslab.js');
    const { summableSlab } = await import('../linux/offload/vectorsum.js');
    const { LinuxDatagramBatches } = await import('../linux/datagrambatches.js');
    const { crypto } = chooseCrypto();
    return wantsNativeSlabs(crypto)
      ? {
          crypto,
          makeSlab: nativeSlab,
          makePacketSlab: summableSlab,
          makeDatagramBatches: () => new LinuxDatagramBatches(),
        }
      : { ...plainProvider, crypto };
  } catch {
    // No koffi for this platform.
    return plainProvider;
  }
}
