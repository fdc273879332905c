import { once } from 'node:events';
import dgram from 'node:dgram';
import type { Duplex } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import type { RootlessTunnel } from '@wirestream/core/portable/rootless/tunnel';
import type { HostPort } from '@wirestream/core/userspace/forward';
import { noise } from '../arbitraries/bytes.js';
import type { Rng } from '../campaign/mutate.js';
import { must } from '../target.js';

const PING_MS = 4_000;
const PINGS = 4;
/** How much goes over a connection at most, and in one datagram, bytes. */
const STREAM_MAX = 200_000;
const DATAGRAM_MAX = 1200;
/** A datagram that no answer comes to is sent again so often: they may get lost. */
const TRIES = 12;
const ANSWER_MS = 400;

/**
 * Says something to an echo, in pieces of any size, ends its half, and reads back, with pauses, what came of it: the same bytes, and then the end.
 * @param stream half open until both halves have ended
 */
export async function exchange(stream: Duplex, rng: Rng): Promise<void> {
  const said = noise(rng.below(2) === 0 ? rng.below(2_000) : rng.below(STREAM_MAX), rng.uint32());
  const pieces: Uint8Array[] = [];
  for (let at = 0; at < said.length; at += pieces[pieces.length - 1]!.length)
    pieces.push(said.subarray(at, at + 1 + rng.below(rng.below(3) === 0 ? 100 : 60_000)));
  const gone = new Promise<never>((_, reject) =>
    stream.once('close', () => reject(new Error('it closed before everything was said'))),
  );
  gone.catch(() => undefined);
  const saying = async () => {
    for (const piece of pieces.length > 200 ? [said] : pieces) {
      if (!stream.write(piece)) await Promise.race([once(stream, 'drain'), gone]);
      if (rng.below(20) === 0) await sleep(rng.below(10));
    }
    stream.end();
  };
  const [heard] = await Promise.all([everything(stream, () => rng.below(40) === 0), saying()]);
  must(
    Buffer.compare(heard, said) === 0,
    () => `${said.length} bytes went out, and ${heard.length} came back, not the same`,
  );
}

/** Everything that a stream has to say. @param pauses asked at every chunk */
export async function everything(stream: Duplex, pauses: () => boolean = () => false): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) {
    chunks.push(Buffer.from(chunk as Uint8Array));
    if (pauses()) await sleep(5);
  }
  return Buffer.concat(chunks);
}

/**
 * Sends datagrams to an echo until each has come back, with the bytes that it had.
 * @param wrap puts in front of a datagram what a relay wants there
 * @param from what comes back stands behind so many bytes
 */
export async function exchangeDatagrams(
  to: HostPort,
  rng: Rng,
  wrap: (data: Uint8Array) => Uint8Array = (data) => data,
  from = 0,
): Promise<void> {
  const socket = dgram.createSocket('udp4');
  try {
    socket.connect(to.port, to.host);
    await once(socket, 'connect');
    const waiting = new Map<string, Uint8Array>();
    for (let n = 1 + rng.below(12); n > 0; n--) {
      const data = noise(8 + rng.below(DATAGRAM_MAX), rng.uint32());
      waiting.set(Buffer.from(data).toString('latin1'), data);
    }
    const sent = new Set(waiting.keys());
    let strange = 0;
    socket.on('error', () => undefined);
    socket.on('message', (bytes) => {
      const data = bytes.toString('latin1', from);
      if (!sent.has(data)) strange++;
      waiting.delete(data);
    });
    for (let tries = 0; waiting.size > 0; tries++) {
      must(tries < TRIES, () => `${waiting.size} of ${sent.size} datagrams never came back`);
      for (const data of waiting.values()) socket.send(wrap(data));
      for (let waited = 0; waited < ANSWER_MS && waiting.size > 0; waited += 10) await sleep(10);
    }
    must(strange === 0, () => `${strange} datagrams came that nobody sent`);
  } finally {
    socket.close();
  }
}

/** A ping that is answered, if not the first time: packets may get lost. */
export async function pinged(tunnel: RootlessTunnel, address: string, size: number): Promise<void> {
  for (let tries = 1; ; tries++) {
    const roundTrip = await tunnel.ping(address, { size, timeout: PING_MS }).catch((error: unknown) => {
      if (tries === PINGS) throw error;
      return null;
    });
    if (roundTrip === null) continue;
    must(roundTrip >= 0 && roundTrip <= PING_MS + 1_000, () => `a round trip of ${roundTrip} ms`);
    return;
  }
}

let turn: Promise<void> = Promise.resolve();

/** One at a time, of all that are wrapped in this: what one sets the other must not change before it has looked. */
export function alone(what: () => Promise<void>): Promise<void> {
  const mine = turn.then(what);
  turn = mine.catch(() => undefined);
  return mine;
}
