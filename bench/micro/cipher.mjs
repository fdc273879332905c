import { randomFillSync } from 'node:crypto';
import { chachaPolyCrypto, evpCrypto, selfTest } from '@wirestream/core/linux/choosecrypto';
import { nativeSlab } from '@wirestream/core/linux/nativeslab';
import { TAG_LENGTH } from '@wirestream/core/noise/crypto';
import { nativeCrypto } from '@wirestream/core/noise/native';
import { portableCrypto } from '@wirestream/core/noise/portable';
import { rate, timed } from './timer.mjs';

export const title = 'seal and open';

const PACKET = 1420;
const LARGE = 65_000;

export function run(options) {
  const out = [];
  for (const crypto of [chachaPolyCrypto, evpCrypto, nativeCrypto, portableCrypto]) {
    if (selfTest(crypto) !== null) continue;
    for (const length of [PACKET, LARGE]) out.push(...measure(crypto, length, options));
  }
  return out;
}

function measure(crypto, length, options) {
  const cipher = crypto.cipher(randomFillSync(new Uint8Array(32)));
  const [plain, sealed, opened] = [1, 2, 3].map(() => nativeSlab(LARGE + TAG_LENGTH));
  randomFillSync(plain.bytes);
  const seal = timed((times) => {
    while (times-- > 0) cipher.seal(0, times, plain, 0, length, sealed, 0);
  }, options);
  cipher.wipe();
  const receiver = crypto.cipher(new Uint8Array(32));
  const sender = crypto.cipher(new Uint8Array(32));
  sender.seal(0, 1, plain, 0, length, sealed, 0);
  const open = timed((times) => {
    while (times-- > 0) {
      if (!receiver.open(0, 1, sealed, 0, length + TAG_LENGTH, opened, 0)) throw new Error('did not open');
    }
  }, options);
  sender.wipe();
  receiver.wipe();
  return Object.entries({ seal, open }).map(([what, seconds]) => ({
    id: `${what}-${length}`,
    ...rate(`${what} ${length} bytes, ${crypto.name}`, 'MB/s', length, seconds, 1e6),
  }));
}
