import { appendFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from '@jest/globals';
import { followCapture } from '../../src/decode/input.js';
import { linesOf, run, type Line } from './run.js';
import { pathOf, readFixture, sidecarNames } from './sidecar.js';

const folder = mkdtempSync(join(tmpdir(), 'wirestream-chart-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** The chart of a fixture, and what `decode --json` says of it. */
function chartOf(name: string): { svg: string; lines: Line[] } {
  const parts: Uint8Array[] = [];
  const svg = (bytes: Uint8Array): void => void parts.push(bytes);
  const lines = linesOf(run(readFixture(`${name}.pcap`)!, [pathOf(`${name}.json`)], { svg }));
  return { svg: Buffer.concat(parts).toString(), lines };
}

const textsOf = (svg: string): string[] => [...svg.matchAll(/<text[^>]*>([^<]*)<\/text>/g)].map(([, text]) => text!);

describe('decode --svg', () => {
  test.each(sidecarNames)('%s: one arrow for each handshake message and each event of a connection', (name) => {
    const { svg, lines } = chartOf(name);
    const texts = textsOf(svg);
    const events = (event: string) => lines.filter((line) => line['event'] === event).length;
    const ofType = (type: number) => lines.filter((line) => line['wg']?.type === type).length;
    const like = (pattern: RegExp) => texts.filter((text) => pattern.test(text)).length;
    expect(like(/^initiation/)).toBe(ofType(1));
    expect(like(/^response/)).toBe(ofType(2));
    expect(like(/^cookie reply/)).toBe(ofType(3));
    expect(like(/^response: (handshake|rekey) in .*session/)).toBe(
      lines.filter(({ type }) => type === 'handshake').length,
    );
    expect(like(/^tcp \d+: dials/)).toBe(events('opened'));
    expect(like(/^tcp \d+: accepted/)).toBe(events('established'));
    expect(like(/^tcp \d+: (closed|reset|refused)/)).toBe(events('closing'));
    // All data is in some row.
    const data = texts.map((text) => Number(/^(?:tcp|udp) \d+: .*?(\d+) data/.exec(text)?.[1] ?? 0));
    const keepalives = texts.map((text) => Number(/(\d+) keepalive/.exec(text)?.[1] ?? 0));
    expect([...data, ...keepalives].reduce((a, b) => a + b, 0)).toBe(ofType(4));
    // Well-formed, as far as it can go wrong: each element is closed.
    expect(svg.match(/<(?!\/)[a-z]+[^>]*[^/]>/g)!.length).toBe(svg.match(/<\/[a-z]+>/g)!.length);
  });

  test('a peer that moves changes its carrier', () => {
    expect(textsOf(chartOf('udp-roam').svg)).toContain('carrier change: udp 0 → udp 1');
    expect(textsOf(chartOf('tcp-reconnect').svg)).toContain('carrier change: tcp 0 → tcp 2');
  });
});

describe('decode --follow', () => {
  test('a file that grows is read until it is told to stop', async () => {
    const file = join(folder, 'growing.pcap');
    const whole = readFixture('tcp-handshake-ping-v4.pcap')!;
    const cut = [0, 10, 5000, 5001, 30_000, whole.length];
    writeFileSync(file, '');
    const stop = new AbortController();
    const seen: Uint8Array[] = [];
    let size = 0;
    let next = 1;
    const grow = (): void => appendFileSync(file, whole.subarray(cut[next - 1], cut[next++]));
    grow();
    for await (const chunk of followCapture(file, stop.signal)) {
      seen.push(chunk);
      size += chunk.length;
      if (size === whole.length) stop.abort();
      else if (size === cut[next - 1]) grow();
    }
    expect(Buffer.concat(seen).equals(whole)).toBe(true);
  });

  test('one that becomes shorter, or that is not there, is told', async () => {
    const file = join(folder, 'shorter.pcap');
    writeFileSync(file, 'twelve bytes');
    const chunks = followCapture(file, new AbortController().signal);
    await chunks.next();
    writeFileSync(file, '');
    await expect(chunks.next()).rejects.toMatchObject({ code: 'capture-truncated' });
    const none = followCapture(join(folder, 'none.pcap'), new AbortController().signal);
    await expect(none.next()).rejects.toMatchObject({ code: 'file-unreadable' });
  });
});
