import { mkdtempSync, readFileSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from '@jest/globals';
import { formatKey } from '@wirestream/core/config/key';
import { findPeer, parseDuration, parseRing } from '../../src/capture/options.js';
import { CaptureSink, numbered } from '../../src/capture/sink.js';

const folder = mkdtempSync(join(tmpdir(), 'ws-capture-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const usage = expect.objectContaining({ code: 'usage' });

describe('options', () => {
  test.each([
    ['10x50MB', { files: 10, size: 50e6 }],
    ['2x64k', { files: 2, size: 64e3 }],
    ['3x1GB', { files: 3, size: 1e9 }],
    ['3x100000', { files: 3, size: 1e5 }],
  ])('--ring %s', (text, limits) => expect(parseRing(text)).toEqual(limits));

  test.each(['', '10', '1x50MB', '10x10', '10x50TB', 'x', '-2x50MB'])('--ring %j is refused', (text) => {
    expect(() => parseRing(text)).toThrow(usage);
  });

  test.each([
    ['30', 30],
    ['0.5s', 0.5],
    ['5m', 300],
    ['2h', 7200],
  ])('--duration %s', (text, seconds) => expect(parseDuration(text)).toBe(seconds));

  test.each(['', '0', '5d', '-1', '1e9'])('--duration %j is refused', (text) => {
    expect(() => parseDuration(text)).toThrow(usage);
  });

  test('a peer is found by the beginning of its key, when that is only one', () => {
    const keys = [1, 2, 3].map((n) => new Uint8Array(32).fill(n));
    const known = keys.map(formatKey);
    expect(findPeer(known[1]!.slice(0, 4), known)).toEqual(keys[1]);
    expect(findPeer(known[2]!, known)).toEqual(keys[2]);
    expect(() => findPeer('zz', known)).toThrow(usage);
    expect(() => findPeer('', known)).toThrow(usage);
  });
});

describe('a ring of files', () => {
  test('keeps the last ones, each begun anew, for their owner only', () => {
    const sink = new CaptureSink(join(folder, 'ring.pcapng'), { files: 3, size: 1000 });
    sink.begin = () => sink.write(Uint8Array.of(0xff));
    // Nothing is emptied before it is certain that there is something to capture.
    expect(readdirSync(folder).filter((name) => name.startsWith('ring'))).toEqual([]);
    sink.open();
    for (let i = 0; i < 50; i++) {
      sink.write(new Uint8Array(100).fill(i));
      sink.settle(false);
    }
    sink.close();
    const files = readdirSync(folder)
      .filter((name) => name.startsWith('ring'))
      .sort();
    expect(files).toEqual(['ring_00004.pcapng', 'ring_00005.pcapng', 'ring_00006.pcapng']);
    const contents = files.map((name) => readFileSync(join(folder, name)));
    expect(contents.map((bytes) => bytes[0])).toEqual([0xff, 0xff, 0xff]);
    expect(contents.map((bytes) => bytes[1])).toEqual([30, 40, undefined]);
    for (const name of files) expect(statSync(join(folder, name)).mode & 0o777).toBe(0o600);
  });

  test('is numbered in front of the name’s ending', () => {
    expect(numbered('/a.b/c', 7)).toBe('/a.b/c_00007');
    expect(numbered('x.pcapng', 12)).toBe('x_00012.pcapng');
  });
});
