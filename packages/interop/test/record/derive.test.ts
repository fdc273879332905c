import { readFileSync } from 'node:fs';
import { describe, expect, test } from '@jest/globals';
import { linesOf, run } from '../../../cli/test/decode/run.js';
import { derive, type Line, type Party } from '../../src/record/derive.js';
import { ephemerals } from '../../src/record/fixtures.js';
import { canonical, hostOf } from '../../src/scenario/plan.js';
import { parseTrace, publicOf } from '../../src/record/kprobe.js';
import { packetsOf, surplus } from '../../src/record/pcap.js';

const FOLDER = new URL('../../../../fixtures/kernel/', import.meta.url);

function open(name: string): { sidecar: Line; lines: Line[]; outer: Buffer } {
  const path = new URL(`${name}.json`, FOLDER);
  const sidecar = JSON.parse(readFileSync(path, 'utf8')) as Line;
  const outer = readFileSync(new URL(`${name}.pcap`, FOLDER));
  return { sidecar, outer, lines: linesOf(run(outer, [path.pathname])) };
}

/** What the fixtures' own script has measured beyond what is derived here. */
const MORE = [
  'first_header_hex',
  'segments',
  'segments_with_more_than_one_record_start',
  'records_split_over_segments',
];

function strip(connection: Line): Line {
  const way = (tally: Line): Line => Object.fromEntries(Object.entries(tally).filter(([key]) => !MORE.includes(key)));
  return {
    ...connection,
    dialler_to_acceptor: way(connection['dialler_to_acceptor'] as Line),
    acceptor_to_dialler: way(connection['acceptor_to_dialler'] as Line),
  };
}

describe.each(['udp-handshake-ping', 'udp-rekey', 'udp-roam', 'tcp-handshake-ping-v6', 'tcp-rekey', 'tcp-roam'])(
  '%s',
  (name) => {
    const { sidecar, lines, outer } = open(name);
    const wanted = sidecar['derived_from_capture'] as Line;
    const packets = packetsOf(outer);

    test('what is derived is what its sidecar says', () => {
      const isB = (end: string): boolean => hostOf(end) === canonical(sidecar['B'].outer_address as string);
      const partyOf = (end: string): Party => (isB(end) ? 'B' : 'A');
      const found = derive(lines, partyOf, packets[0]!.seconds, sidecar['counters_read_at_unix'] as number);
      const exact = [
        'packets',
        'udp_datagrams',
        'flows',
        'wg_messages_from_A',
        'wg_messages_from_B',
        'handshakes_completed',
      ];
      const bytes = ['wg_message_bytes_from_A', 'wg_message_bytes_from_B', 'until_counters_were_read', 'decryption'];
      for (const key of [...exact, ...bytes]) expect([key, found[key]]).toEqual([key, wanted[key]]);
      expect(found['first_packet_unix']).toBeCloseTo(wanted['first_packet_unix'] as number, 5);
      expect(found['last_packet_unix']).toBeCloseTo(wanted['last_packet_unix'] as number, 5);
      const late = ([, ...rest]: unknown[]): unknown[] => rest;
      expect((found['handshake_log'] as unknown[][]).map(late)).toEqual(
        (wanted['handshake_log'] as unknown[][]).map(late),
      );
      expect((found['keepalives'] as unknown[][]).map(late)).toEqual((wanted['keepalives'] as unknown[][]).map(late));
      expect((found['tcp_connections'] as Line[] | undefined)?.map((c) => ({ ...strip(c), syn_at: 0 }))).toEqual(
        (wanted['tcp_connections'] as Line[] | undefined)?.map((c) => ({ ...strip(c), syn_at: 0 })),
      );
    });

    test('the ephemeral keys are found by their public halves, in the order of the messages', () => {
      const listed = (sidecar['handshake_ephemeral_private_keys'] as string[]).map((key) => Buffer.from(key, 'base64'));
      const onWire: Uint8Array[] = listed.filter((key) => lines.some(({ wg }) => wg?.ephemeral === publicOf(key)));
      const isInitiation = (key: Buffer): boolean =>
        lines.some(({ wg }) => wg?.type === 1 && wg.ephemeral === publicOf(key));
      const sides = [listed.filter(isInitiation), listed.filter((key) => !isInitiation(key))];
      const found = ephemerals(lines, sides);
      expect(found.filter((key) => onWire.includes(key))).toEqual(onWire);
      // Those whose messages were never sent are there, too.
      expect(new Set(found)).toEqual(new Set(listed));
      expect(() => ephemerals(lines, [sides[0]!.slice(1), sides[1]!])).toThrow(
        'no private key for the handshake message in frame',
      );
    });
  },
);

test('packets of a fixture, counted and compared with repetitions', () => {
  const packets = packetsOf(readFileSync(new URL('udp-rekey.inner.pcap', FOLDER))).map(({ bytes }) => bytes);
  expect(packets).toHaveLength(56);
  expect(surplus(packets, packets)).toBe(0);
  expect(surplus([...packets, packets[0]!], packets)).toBe(1);
  expect(surplus(packets, packets.slice(2))).toBe(2);
});

test('keys in a trace are those of the probe, in the byte order of memory', () => {
  const text = [
    '# tracer: nop',
    '  kworker/0:1-9 [000] .....  12.3: wirestream_ephemeral: (wg_index_hashtable_insert+0x0/0x1 [wireguard]) k0=0x807060504030201 k1=0x0 k2=0xff k3=0x1',
    '  other-1 [000] ..... 1.0: another: k0=0x1 k1=0x1 k2=0x1 k3=0x1',
    '  cut-1 [000] ..... 1.0: wirestream_ephemeral: k0=0x1 k1=0x1',
  ].join('\n');
  const keys = parseTrace(text);
  expect(keys).toHaveLength(1);
  expect(keys[0]!.toString('hex')).toBe(`0102030405060708${'00'.repeat(8)}ff${'00'.repeat(7)}01${'00'.repeat(7)}`);
});

test('public keys are those that belong to the private ones', () => {
  const { A, B } = JSON.parse(readFileSync(new URL('udp-rekey.json', FOLDER), 'utf8')) as Line;
  for (const party of [A, B])
    expect(publicOf(Buffer.from(party.private_key as string, 'base64'))).toBe(party.public_key);
});
