import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from '@jest/globals';
import { HAS_TSHARK, expected, tshark } from './referee.js';
import { linesOf, run } from './run.js';
import { pathOf, readFixture, sidecarNames } from './sidecar.js';

const folder = mkdtempSync(join(tmpdir(), 'wirestream-tshark-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

(HAS_TSHARK ? describe : describe.skip)(
  'tshark sees the same in the re-presented captures, with the embedded keys',
  () => {
    test.each(sidecarNames)('%s', (name) => {
      const parts: Uint8Array[] = [];
      const udp = { write: (bytes: Uint8Array) => parts.push(bytes), withKeys: true };
      const lines = linesOf(run(readFixture(`${name}.pcap`)!, [pathOf(`${name}.json`)], { udp }));
      const file = join(folder, `${name}.pcapng`);
      writeFileSync(file, Buffer.concat(parts));
      expect(tshark(file)).toEqual(expected(lines, false));
    });
  },
);
