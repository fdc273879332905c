import { readFileSync } from 'node:fs';
import { parseKeys } from '@wirestream/core/capture/keys';
import { plain } from '@wirestream/core/capture/paint';
import { Decoder, type DecodeOptions, type DecodeResult } from '../../src/decode/decode.js';
import { plainProvider } from '../../src/decode/provider.js';

// eslint-disable-next-line @typescript-eslint/no-explicit-any
export type Line = Record<string, any>;

export interface Run extends DecodeResult {
  readonly text: string[];
  readonly inner: Uint8Array;
  readonly udp: Uint8Array;
}

/** Runs what `decode` runs, on bytes. */
export function run(file: Uint8Array, keyFiles: readonly string[], more: Partial<DecodeOptions> = {}): Run {
  const text: string[] = [];
  const inner: Uint8Array[] = [];
  const udp: Uint8Array[] = [];
  const decoder = new Decoder({
    file: 'capture.pcap',
    keys: keyFiles.map((name) => parseKeys(readFileSync(name, 'utf8'), name)),
    form: 'json',
    summary: false,
    all: false,
    paint: plain,
    provider: plainProvider,
    application: 'test',
    line: (line) => text.push(line),
    inner: { write: (bytes) => inner.push(bytes), format: 'pcapng' },
    udp: { write: (bytes) => udp.push(bytes), withKeys: false },
    ...more,
  });
  for (let at = 0; at < file.length; at += 100_000) decoder.push(file.slice(at, at + 100_000));
  const result = decoder.end();
  return { ...result, text, inner: Buffer.concat(inner), udp: Buffer.concat(udp) };
}

export function linesOf(result: Run): Line[] {
  return result.text.map((line) => JSON.parse(line) as Line);
}
