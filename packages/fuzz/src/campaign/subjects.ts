import { readFileSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { parseKeys } from '@wirestream/core/capture/keys';
import { nativeCrypto } from '@wirestream/core/noise/native';
import { readRecording, type Recording } from '../replay/recording.js';
import type { Target } from '../target.js';
import { TARGETS } from '../targets/all.js';
import { useKeys } from '../targets/capture.js';
import { recordedStreams, recordingTarget } from '../targets/recording.js';
import { replayTarget } from '../targets/replayed.js';
import type { Entry } from './corpus.js';

/** Recordings up to this size are starting points of what reads captures, bytes. */
const SEED_MAX = 20_000;

/** All targets, those that need the kernel's recordings included. */
export function subjects(fixtures: string): Target[] {
  const folder = path.join(fixtures, 'kernel');
  const names = readdirSync(folder).filter((name) => name.endsWith('.pcap') && !name.includes('inner'));
  const streams = names
    .filter((name) => name.startsWith('tcp-'))
    .flatMap((name) => recordedStreams(name.slice(0, -5), new Uint8Array(readFileSync(path.join(folder, name)))));
  return [...TARGETS, recordingTarget(streams), replayTarget(() => recordings(folder))];
}

/** The kernel's recordings over TCP, with their sidecars. */
export function recordings(folder: string): Recording[] {
  const sidecars = readdirSync(folder).filter((name) => name.startsWith('tcp-') && name.endsWith('.json'));
  return sidecars.map((file) => {
    const name = file.slice(0, -'.json'.length);
    const pcap = new Uint8Array(readFileSync(path.join(folder, `${name}.pcap`)));
    return readRecording(name, readFileSync(path.join(folder, file), 'utf8'), pcap, nativeCrypto);
  });
}

/** Recordings as starting points, and the keys that open them. */
export function seeds(fixtures: string, target: string): Entry[] {
  if (target !== 'decode' && target !== 'capture-bytes') return [];
  const folder = path.join(fixtures, 'kernel');
  const found: Entry[] = [];
  const keys = [];
  for (const name of readdirSync(folder).filter((file) => file.endsWith('.json'))) {
    const file = readFileSync(path.join(folder, name.replace('.json', '.pcap')));
    if (file.length > SEED_MAX) continue;
    keys.push(parseKeys(readFileSync(path.join(folder, name), 'utf8'), name));
    found.push({ kind: 'bytes', bytes: new Uint8Array(file) });
  }
  useKeys(keys);
  return found;
}
