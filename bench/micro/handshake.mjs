import { randomFillSync } from 'node:crypto';
import { evpCrypto } from '@wirestream/core/linux/choosecrypto';
import { Handshake } from '@wirestream/core/noise/handshake';
import { LocalIdentity } from '@wirestream/core/noise/identity';
import { openInitiation } from '@wirestream/core/noise/initiation';
import { portableCrypto } from '@wirestream/core/noise/portable';
import { tai64n } from '@wirestream/core/noise/tai64n';
import { rate, timed } from './timer.mjs';

export const title = 'handshakes';

const key = () => randomFillSync(new Uint8Array(32));

export function run(options) {
  return [evpCrypto, portableCrypto].map((crypto) => ({
    id: `handshake-${crypto === evpCrypto ? 'native' : 'portable'}`,
    ...rate(`complete handshakes, both ends, ${crypto.name}`, 'per s', 1, timed(handshakes(crypto), options), 1),
  }));
}

function handshakes(crypto) {
  const [idA, idB] = [key(), key()].map((secret) => new LocalIdentity(crypto, secret));
  const a = new Handshake(crypto, idA, idB.publicKey);
  const b = new Handshake(crypto, idB, idA.publicKey);
  // A clock of its own: a second per handshake, so that none is taken for a replay or a flood.
  let second = 1;
  return (times) => {
    while (times-- > 0) {
      second++;
      const initiation = a.createInitiation(key(), 1, tai64n(second * 1000));
      const opened = openInitiation(crypto, idB, initiation, 0);
      if (b.consumeInitiation(opened, second * 1000) !== 'accepted') throw new Error('initiation refused');
      if (!a.consumeResponse(b.createResponse(key(), 2), 0)) throw new Error('response refused');
      if (a.deriveKeys() === null || b.deriveKeys() === null) throw new Error('no keys');
    }
  };
}
