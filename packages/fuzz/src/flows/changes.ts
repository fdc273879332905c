import { parsePrefix } from '@wirestream/core/address/ip';
import type { PeerSettings, Transport } from '@wirestream/core/device/settings';
import { noise } from '../arbitraries/bytes.js';
import type { Rng } from '../campaign/mutate.js';
import { must, mustEqual } from '../target.js';
import { fate } from './conversations.js';
import { exchange } from './exchange.js';
import { keysOf } from '../hostile/keys.js';
import { PORT, type World } from './world.js';

/** The first end's second identity. */
const OTHER_SELF = 5;

const prefixes = (...texts: string[]) => texts.map((text) => ({ prefix: parsePrefix(text)! }));
const peer = (number: number, more: Partial<PeerSettings>): PeerSettings => ({
  publicKey: keysOf(number).publicKey,
  allowedIps: [],
  ...more,
});

/** Changes that both ends make to a tunnel in use: after each of them it carries what it is given, or says why not. */
export async function change({ here, there }: World, rng: Rng): Promise<void> {
  const works = () => exchange(here.connect('10.0.0.2', PORT.inside), rng);
  const presharedKey = noise(32, rng.uint32());
  await here.configure({ peers: [peer(2, { presharedKey })] });
  await there.configure({ peers: [peer(1, { presharedKey })] });
  await works();

  // Another identity: a new handshake, and with the preshared key.
  const self = peer(OTHER_SELF, { presharedKey, allowedIps: prefixes('10.0.0.1/32', 'fd00::1/128') });
  await there.configure({ peers: [peer(1, { remove: true }), self] });
  await here.configure({ privateKey: keysOf(OTHER_SELF).privateKey, peers: [] });
  await works();
  mustEqual(
    there.snapshot().peers.map(({ publicKey }) => publicKey),
    [self.publicKey],
    'who the other end knows',
  );

  const all: Transport[] = ['tcp', 'udp', 'auto'];
  for (let first = rng.below(3), n = 0; n < 3; n++) {
    const transport = all[(first + n) % 3]!;
    await Promise.all([there, here].map((end) => end.configure({ transport, peers: [] })));
    await works();
  }

  // What was promised to the other end under the keys of now still holds.
  const drops = () => here.snapshot().peers[0]!.drops['malformed-inner'] ?? 0;
  const before = drops();
  await here.configure({ extensions: false, peers: [] });
  await works();
  // A control message or two of the other end are nothing to this one now.
  must(drops() - before < 10, () => `${drops() - before} messages were dropped because extensions were switched off`);

  await here.configure({ peers: [peer(2, { replaceAllowedIps: true, allowedIps: prefixes('fd00::2/128') })] });
  mustEqual(await fate(here.connect('10.0.0.2', PORT.inside)), 'EHOSTUNREACH', 'an address that was taken away');
  await exchange(here.connect('fd00::2', PORT.inside), rng);
  // Back again, for the last words of the flows before.
  await here.configure({ peers: [peer(2, { allowedIps: prefixes('10.0.0.2/32') })] });
  await works();
}
