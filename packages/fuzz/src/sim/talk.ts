import { CookieJar } from '@wirestream/core/cookie/jar';
import type { Crypto } from '@wirestream/core/noise/crypto';
import { Handshake } from '@wirestream/core/noise/handshake';
import { LocalIdentity } from '@wirestream/core/noise/identity';
import { TimestampSource } from '@wirestream/core/noise/tai64n';
import type { Host } from '@wirestream/core/sim/host';
import type { Rng } from '@wirestream/core/sim/rng';
import type { World } from '@wirestream/core/sim/world';
import { writeHeader } from '@wirestream/core/stream/header';
import type { StrangerTalk } from './steps.js';

const HEADER = 8;
/** How long a stranger that drips keeps at it. */
const DRIPS = 40;

/**
 * What promoted a connection of this host's since it started, word for word: whoever listened on the wire can say it again. Only what
 * was consumed is here; the genuine first arrival of a message proves that the holder of the keys sent it.
 */
export class Overheard {
  readonly #said: Uint8Array[] = [];

  constructor(host: Host) {
    const first = new Map<object, Uint8Array>();
    host.observeInput = (connection, bytes, before) => {
      if (before !== null || connection.direction !== 'inbound') return;
      const earlier = first.get(connection) ?? new Uint8Array(0);
      const all = new Uint8Array(earlier.length + bytes.length);
      all.set(earlier);
      all.set(bytes, earlier.length);
      first.set(connection, all);
      // One record and nothing else: then this one it was.
      if (connection.peer !== null && all.length === ((all[2]! << 8) | all[3]!)) this.#said.push(all);
    };
  }

  pick(rng: Rng): Uint8Array | null {
    return this.#said.length === 0 ? null : this.#said[rng.below(this.#said.length)]!;
  }
}

/** One stranger, from an address of its own or from one that it shares with others of its kind. */
export function strangerTalks(
  world: World,
  crypto: Crypto,
  to: number,
  says: StrangerTalk,
  overheard: Overheard | undefined,
  address: string | undefined,
): void {
  const stranger = world.stranger(to, address);
  const noise = (length: number) => {
    const out = new Uint8Array(length);
    world.rng.fill(out);
    return out;
  };
  switch (says) {
    case 'nothing':
      return;
    case 'garbage':
      return stranger.say(noise(world.rng.between(1, 5_000)));
    case 'half a record': {
      const record = new Uint8Array(HEADER + 100);
      writeHeader(record, 0, 148);
      record[HEADER] = 1;
      return stranger.say(record);
    }
    case 'huge record': {
      const record = noise(HEADER + 65_535);
      writeHeader(record, 0, 65_535);
      record.set([4, 0, 0, 0], HEADER);
      return stranger.say(record);
    }
    case 'unknown key':
      return stranger.say(unknownInitiation(world, crypto, to));
    case 'replay': {
      const bytes = overheard?.pick(world.rng) ?? null;
      if (bytes !== null) stranger.say(bytes);
      return;
    }
    case 'drip':
      for (let i = 0; i < DRIPS; i++) world.clock.after(i * 1_000, () => stranger.say(noise(1)));
  }
}

/** Everything about it is right, but nobody here knows who sends it. */
function unknownInitiation(world: World, crypto: Crypto, to: number): Uint8Array {
  const key = () => {
    const out = new Uint8Array(32);
    world.rng.fill(out);
    return out;
  };
  const target = world.publicKey(to);
  const handshake = new Handshake(crypto, new LocalIdentity(crypto, key()), target);
  const timestamp = new TimestampSource().next(1_700_000_000_000 + world.now);
  const message = handshake.createInitiation(key(), 1234, timestamp)!;
  new CookieJar(crypto, target).addMacs(message, world.now);
  const record = new Uint8Array(HEADER + message.length);
  writeHeader(record, 0, message.length);
  record.set(message, HEADER);
  return record;
}
