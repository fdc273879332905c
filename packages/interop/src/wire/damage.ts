/** What happens to bytes on a bad path. */

export type Damage = 'flip' | 'insert' | 'delete';

/** How many bytes are inserted or deleted at once. */
const RUN = 23;

/**
 * @param random from 0 (included) to 1 (excluded)
 * @returns the bytes as they arrive; the argument stays as it is
 */
export function damageBytes(bytes: Uint8Array, what: Damage, random: () => number): Buffer {
  const at = Math.floor(random() * bytes.length);
  const before = Buffer.from(bytes.subarray(0, at));
  switch (what) {
    case 'flip': {
      const out = Buffer.from(bytes);
      if (out.length > 0) out[at]! ^= 1 << Math.floor(random() * 8);
      return out;
    }
    case 'insert':
      return Buffer.concat([before, Buffer.alloc(RUN, Math.floor(random() * 256)), bytes.subarray(at)]);
    case 'delete':
      return Buffer.concat([before, bytes.subarray(at + RUN)]);
  }
}
