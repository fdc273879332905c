import { readFileSync, readdirSync } from 'node:fs';
import { CaptureReader } from '../../src/capture/capturefile.js';
import { Dissector } from '../../src/capture/dissect.js';
import { SinkList, type DecodeSink } from '../../src/capture/events.js';
import { JsonLines } from '../../src/capture/jsonlines.js';
import { KeyRing } from '../../src/capture/keyring.js';
import { parseKeys, type KnownKeys } from '../../src/capture/keys.js';
import type { CapturedPacket } from '../../src/capture/packet.js';
import { Tally } from '../../src/capture/tally.js';
import { nativeCrypto } from '../../src/noise/native.js';

const FIXTURES = new URL('../../../../fixtures/kernel/', import.meta.url);

export const fixtureNames = readdirSync(FIXTURES)
  .filter((name) => name.endsWith('.json'))
  .map((name) => name.slice(0, -5));

export function fixtureFile(name: string): Uint8Array {
  return new Uint8Array(readFileSync(new URL(name, FIXTURES)));
}

export function fixtureKeys(name: string): KnownKeys {
  return parseKeys(readFileSync(new URL(`${name}.json`, FIXTURES), 'utf8'), name);
}

// eslint-disable-next-line @typescript-eslint/no-explicit-any
export type Line = Record<string, any>;

export interface Decoded {
  readonly lines: Line[];
  readonly tally: Tally;
  readonly summary: Line;
}

/** Everything that a capture holds, as JSON lines. */
export function decode(file: Uint8Array, keys: readonly KnownKeys[] = [], more: DecodeSink[] = []): Decoded {
  const { dissector, finish } = dissect(keys, more);
  const reader = new CaptureReader(dissector);
  for (let at = 0; at < file.length; at += 65536) reader.push(file.slice(at, at + 65536));
  reader.end();
  return finish();
}

/** For packets that come from elsewhere than a file. */
export function dissect(keys: readonly KnownKeys[] = [], more: DecodeSink[] = []) {
  const ring = new KeyRing(nativeCrypto);
  for (const known of keys) ring.add(known);
  const ports = keys.flatMap(({ listenPorts }) => listenPorts);
  const tally = new Tally(
    keys.flatMap(({ addresses }) => addresses),
    ports,
  );
  const lines: Line[] = [];
  const json = new JsonLines((line) => lines.push(JSON.parse(line) as Line), tally);
  const dissector = new Dissector({
    crypto: nativeCrypto,
    ring,
    sink: new SinkList([json, ...more, tally]),
    listenPorts: ports,
  });
  const finish = (): Decoded => {
    dissector.end();
    json.close();
    return { lines, tally, summary: lines[lines.length - 1]! };
  };
  return { dissector, finish };
}

/** The packets of a capture, copied. */
export function packetsOf(
  file: Uint8Array,
): { seconds: number; nanoseconds: number; data: Uint8Array; original: number }[] {
  const out: { seconds: number; nanoseconds: number; data: Uint8Array; original: number }[] = [];
  const reader = new CaptureReader({
    packet: (p: CapturedPacket) =>
      out.push({ seconds: p.seconds, nanoseconds: p.nanoseconds, data: p.data.slice(), original: p.originalLength }),
  });
  reader.push(file);
  reader.end();
  return out;
}

/** What a message is, whatever carried it and whenever. */
export function identityOf(line: Line): string {
  const { type, sender, receiver, counter } = line['wg'] as Line;
  return [type, sender, receiver, counter, line['length'], line['status']].join(' ');
}

export function messagesOf(decoded: Decoded): Line[] {
  return decoded.lines.filter(({ type }) => type === 'message');
}
