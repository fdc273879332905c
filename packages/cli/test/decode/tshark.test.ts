import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from '@jest/globals';
import { linesOf, run, type Line } from './run.js';
import { pathOf, readFixture, sidecarNames } from './sidecar.js';

/** Wireshark as the referee, where it is installed. */
const HAS_TSHARK = spawnSync('tshark', ['--version']).status === 0;
const FIELDS = [
  'wg.type',
  'wg.sender',
  'wg.receiver',
  'wg.counter',
  'wg.stream',
  'wg.keepalive',
  'wg.handshake_ok',
  'wg.response_to',
  'udp.length',
];
const folder = mkdtempSync(join(tmpdir(), 'wirestream-tshark-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** What tshark sees in a capture: one row of FIELDS for each WireGuard message. */
function tshark(file: string): string[][] {
  const fields = FIELDS.flatMap((field) => ['-e', field]);
  const options = ['-o', 'ip.check_checksum:TRUE', '-o', 'udp.check_checksum:TRUE', '-o', 'wg.dissect_packet:FALSE'];
  const args = ['-n', '-r', file, ...options, '-Y', 'wg', '-T', 'fields', '-E', 'separator=/t', ...fields];
  const out = execFileSync('tshark', args, { stdio: ['ignore', 'pipe', 'ignore'] }).toString();
  return out === ''
    ? []
    : out
        .trimEnd()
        .split('\n')
        .map((row) => row.split('\t'));
}

function expected(lines: Line[]): string[][] {
  const messages = lines.filter(({ type }) => type === 'message');
  const answeredBy = ({ wg }: Line) => messages.findIndex(({ frame }) => frame === wg['response_to']);
  // Wireshark pairs messages by addresses and ports as well: a response that came over another connection is lost on it.
  const lost = new Set<number>();
  for (const line of messages) {
    const answered = messages[answeredBy(line)];
    if (line['wg']['type'] === 2 && answered?.['from'] !== line['to']) lost.add(line['wg']['stream'] as number);
  }
  return messages.map((line) => {
    const { wg, length } = line;
    const answered = answeredBy(line);
    const type = wg['type'] as number;
    const isLost = type !== 1 && lost.has(wg['stream'] as number);
    // It has no session for a cookie reply to a response either.
    const isPaired = !isLost && (type !== 3 || messages[answered]?.['wg']['type'] === 1);
    const isOk = wg['handshake_ok'] as boolean | undefined;
    return [
      `${type}`,
      (wg['sender'] as string | undefined) ?? '',
      (wg['receiver'] as string | undefined) ?? '',
      wg['counter'] === undefined ? '' : `${wg['counter']}`,
      isPaired && wg['stream'] !== undefined ? `${wg['stream']}` : '',
      wg['keepalive'] === true ? '1' : '',
      isPaired && type === 2 && isOk !== undefined ? (isOk ? '1' : '0') : '',
      isPaired && answered >= 0 ? `${answered + 1}` : '',
      `${(length as number) + 8}`,
    ];
  });
}

(HAS_TSHARK ? describe : describe.skip)(
  'tshark sees the same in the re-presented captures, with the embedded keys',
  () => {
    test.each(sidecarNames)('%s', (name) => {
      const parts: Uint8Array[] = [];
      const udp = { write: (bytes: Uint8Array) => parts.push(bytes), withKeys: true };
      const lines = linesOf(run(readFixture(`${name}.pcap`)!, [pathOf(`${name}.json`)], { udp }));
      const file = join(folder, `${name}.pcapng`);
      writeFileSync(file, Buffer.concat(parts));
      const mine = expected(lines);
      const theirs = tshark(file);
      // tshark prints nothing for a keepalive flag that is false, and "0" in some versions.
      expect(
        theirs.map((row) => row.map((cell, i) => (FIELDS[i] === 'wg.keepalive' && cell === '0' ? '' : cell))),
      ).toEqual(mine);
    });
  },
);
