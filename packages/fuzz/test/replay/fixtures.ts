import { readFileSync, readdirSync } from 'node:fs';
import { CaptureReader } from '@wirestream/core/capture/capturefile';
import { nativeCrypto } from '@wirestream/core/noise/native';
import { circumstances } from '../../src/replay/circumstances.js';
import { hex, readRecording, type Recording, type Role } from '../../src/replay/recording.js';
import { Stage, type StageOptions } from '../../src/replay/stage.js';

const FOLDER = new URL('../../../../fixtures/kernel/', import.meta.url);

export const NAMES = readdirSync(FOLDER)
  .filter((name) => name.startsWith('tcp-') && name.endsWith('.json'))
  .map((name) => name.slice(0, -'.json'.length));

const file = (name: string) => new Uint8Array(readFileSync(new URL(name, FOLDER)));
const recordings = new Map<string, Recording>();

export function recording(name: string): Recording {
  let found = recordings.get(name);
  if (found === undefined) {
    const sidecar = readFileSync(new URL(`${name}.json`, FOLDER), 'utf8');
    found = readRecording(name, sidecar, file(`${name}.pcap`), nativeCrypto);
    recordings.set(name, found);
  }
  return found;
}

const stages = new Map<string, Stage>();

/** The engine in the place of one end, at the end of the recording. */
export function replay(name: string, role: Role, options?: Omit<StageOptions, 'crypto'>): Stage {
  const of = recording(name);
  if (options !== undefined) return new Stage(of, role, { crypto: nativeCrypto, ...options }).run();
  const key = `${name} ${role}`;
  let stage = stages.get(key);
  if (stage === undefined) {
    stage = new Stage(of, role, { crypto: nativeCrypto, ...circumstances(of, role) }).run();
    stages.set(key, stage);
  }
  return stage;
}

/** The packets seen on A's tunnel interface that came from one end, in hex; null when that was not recorded. */
export function innerPackets({ name, sides, sidecar }: Recording, from: Role): string[] | null {
  if (typeof sidecar.capture.inner_file !== 'string') return null;
  const own = sides[from].tunnelAddresses.map((address) => addressBytes(address));
  const out: string[] = [];
  const reader = new CaptureReader({
    packet: ({ data }) => {
      const source = data[0]! >> 4 === 4 ? data.subarray(12, 16) : data.subarray(8, 24);
      if (own.includes(hex(source))) out.push(hex(data));
    },
  });
  reader.push(file(`${name}.inner.pcap`));
  reader.end();
  return out;
}

/** Of 10.77.0.1 or fd77::1, in hex. */
function addressBytes(address: string): string {
  if (!address.includes(':')) return hex(Uint8Array.from(address.split('.'), Number));
  const [head, tail] = address.split('::');
  return head!.padEnd(28, '0') + tail!.padStart(4, '0');
}
