import { afterAll, describe, expect, test } from '@jest/globals';
import { CaptureReader } from '@wirestream/core/capture/capturefile';
import { linesOf, run, type Line } from './run.js';
import { pathOf, readFixture, readSidecar, sidecarNames, type Sidecar, type SidecarDirection } from './sidecar.js';

/**
 * Every capture of the real kernel against its sidecar, field by field, through what `decode --json` prints. Nothing here knows
 * any capture by name.
 */

const table: string[][] = [];

afterAll(() => {
  const head = [
    'capture',
    'connections',
    'records',
    'init/resp/cookie/data/keepalive',
    'resyncs',
    'handshakes',
    'decrypted',
    'inner',
    'verdict',
  ];
  const rows = [head, ...table];
  const widths = head.map((_, i) => Math.max(...rows.map((row) => row[i]!.length)));
  const text = rows
    .map((row) =>
      row
        .map((cell, i) => cell.padEnd(widths[i]!))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
  process.stdout.write(
    `\nwhat decode finds in the captures of the kernel (found/expected where they differ)\n\n${text}\n\n`,
  );
});

/** The packets of a capture in hexadecimal. */
function packetsIn(file: Uint8Array): string[] {
  const out: string[] = [];
  const reader = new CaptureReader({ packet: (packet) => out.push(Buffer.from(packet.data).toString('hex')) });
  reader.push(file);
  reader.end();
  return out;
}

/** How many of `a` are not in `b`, with multiplicity. */
function surplus(a: readonly string[], b: readonly string[]): number {
  const left = new Map<string, number>();
  for (const item of b) left.set(item, (left.get(item) ?? 0) + 1);
  let n = 0;
  for (const item of a) {
    const there = left.get(item) ?? 0;
    if (there === 0) n++;
    else left.set(item, there - 1);
  }
  return n;
}

const sum = (list: readonly number[]) => list.reduce((a, b) => a + b, 0);
const directionsOf = (sidecar: Sidecar): SidecarDirection[] =>
  (sidecar.derived_from_capture.tcp_connections ?? []).flatMap((c) =>
    [c.dialler_to_acceptor, c.acceptor_to_dialler].filter((d) => d !== undefined),
  );

/** The summary that the sidecar asks for, in decode's names. */
function expectedSummary(sidecar: Sidecar): Line {
  const derived = sidecar.derived_from_capture;
  const directions = directionsOf(sidecar);
  const ofType = (type: number) => (derived.wg_messages_from_A[type] ?? 0) + (derived.wg_messages_from_B[type] ?? 0);
  const decrypted = derived.decryption['data_ok'] ?? 0;
  return {
    connections: derived.tcp_connections?.length ?? 0,
    records: sum(directions.map(({ records }) => records)),
    messages: {
      initiation: ofType(1),
      response: ofType(2),
      cookie: ofType(3),
      data: ofType(4),
      keepalive: derived.keepalives.length,
    },
    resyncs: sum(directions.map(({ garbage_runs }) => garbage_runs ?? 0)),
    skippedBytes: sum(directions.map(({ garbage_bytes }) => garbage_bytes ?? 0)),
    handshakesCompleted: derived.handshakes_completed,
    decrypted,
    undecrypted: ofType(4) - decrypted,
    innerPackets: sidecar.inner_check?.plaintext_packets_decrypted ?? decrypted - derived.keepalives.length,
    packets: derived.packets,
    otherConnections: sum(Object.values(derived.stranger_connections ?? {}).map(({ count }) => count)),
    invalidRecords: 0,
    gaps: 0,
    errors: 0,
  };
}

function addRow(sidecar: Sidecar, found: Line, expected: Line): void {
  const cell = (name: string) =>
    found[name] === expected[name] ? `${found[name]}` : `${found[name]}/${expected[name]}`;
  const kinds = ['initiation', 'response', 'cookie', 'data', 'keepalive'];
  const types = (line: Line) => kinds.map((kind) => line['messages'][kind] as number).join('/');
  const isSame = Object.keys(expected).every((name) => JSON.stringify(found[name]) === JSON.stringify(expected[name]));
  table.push([
    sidecar.name,
    cell('connections') + (found['otherConnections'] === 0 ? '' : ` (+${found['otherConnections']} others)`),
    cell('records'),
    types(found) === types(expected) ? types(found) : `${types(found)} not ${types(expected)}`,
    `${cell('resyncs')}${found['skippedBytes'] === 0 ? '' : ` (${cell('skippedBytes')} B)`}`,
    cell('handshakesCompleted'),
    `${cell('decrypted')} of ${found['messages']['data']}`,
    cell('innerPackets'),
    isSame ? 'as recorded' : 'DIFFERENT',
  ]);
}

describe.each(sidecarNames)('%s', (name) => {
  const sidecar = readSidecar(name);
  const derived = sidecar.derived_from_capture;
  const result = run(readFixture(sidecar.capture.file)!, [pathOf(`${name}.json`)]);
  const lines = linesOf(result);
  const messages = lines.filter(({ type }) => type === 'message');
  const summary = lines[lines.length - 1]!;
  const ofB = [sidecar.B.outer_address, ...(sidecar.B.other_outer_addresses ?? [])];
  /** The side that an address belongs to: B stays where it is, or the sidecar says where it goes; A may roam. */
  const sideOf = (end: string) => (ofB.includes(end.replace(/:\d+$/, '').replace(/[[\]]/g, '')) ? 'B' : 'A');
  const ofSide = (side: string) => messages.filter(({ from }) => sideOf(from as string) === side);

  test('the summary is what the sidecar says', () => {
    const expected = expectedSummary(sidecar);
    addRow(sidecar, summary, expected);
    expect(summary['type']).toBe('summary');
    expect(summary).toMatchObject(expected);
    expect(summary['seconds']).toBeCloseTo(derived.last_packet_unix - derived.first_packet_unix, 5);
    expect(result.errors).toEqual([]);
  });

  test('each TCP connection: who dialled, how it went and ended, what it carried each way', () => {
    const finished = lines.filter(({ type, event }) => type === 'connection' && event === 'finished');
    const opened = lines.filter(({ type, event }) => type === 'connection' && event === 'opened');
    const wanted = derived.tcp_connections ?? [];
    const strangers = new Set(Object.keys(derived.stranger_connections ?? {}));
    const ours = finished.filter(({ from }) => !strangers.has((from as string).replace(/:\d+$/, '')));
    ours.sort((a, b) => a['connection'] - b['connection']);
    const shape = (line: Line) => ({
      dialler: sideOf(line['from'] as string),
      from: line['from'],
      to: line['to'],
      syn_at: Number(opened.find(({ connection }) => connection === line['connection'])!['time']).toFixed(5),
      established: line['established'],
      closing: (line['closing'] as Line[]).map(
        ({ by, how, after }) => `${by} ${how} at +${(after as number).toFixed(3)} s`,
      ),
    });
    expect(ours.map(shape)).toEqual(
      wanted.map(({ dialler, from, to, syn_at, established, closing }) => ({
        dialler,
        from,
        to,
        syn_at: syn_at.toFixed(5),
        established,
        closing: closing ?? [],
      })),
    );
    wanted.forEach((connection, i) => {
      for (const [mine, theirs] of [
        ['diallerToAcceptor', connection.dialler_to_acceptor],
        ['acceptorToDialler', connection.acceptor_to_dialler],
      ] as const) {
        const { records, types, bytes, resyncs, skippedBytes } = ours[i]![mine] as Line;
        expect({ records, types, bytes, resyncs, skippedBytes }).toEqual({
          records: theirs?.records ?? 0,
          types: theirs?.wg_types ?? {},
          bytes: theirs?.bytes ?? 0,
          resyncs: theirs?.garbage_runs ?? 0,
          skippedBytes: theirs?.garbage_bytes ?? 0,
        });
      }
      if (connection.retransmitted_segments !== undefined) {
        const repeated = (way: string) => ours[i]![way]['repeatedSegments'] as number;
        expect(repeated('diallerToAcceptor') + repeated('acceptorToDialler')).toBe(connection.retransmitted_segments);
      }
    });
    for (const [address, stranger] of Object.entries(derived.stranger_connections ?? {})) {
      const theirs = finished.filter(({ from }) => (from as string).startsWith(`${address}:`));
      expect(theirs).toHaveLength(stranger.count);
      expect(theirs.filter(({ established }) => established as boolean)).toHaveLength(stranger.established);
      expect(sum(theirs.map((line) => line['acceptorToDialler']['bytes'] as number))).toBe(stranger.bytes_from_B);
    }
  });

  test('each run of garbage, and each record with fragment metadata', () => {
    const wanted = derived.tcp_connections ?? [];
    const runs = (way: 'dialler_to_acceptor' | 'acceptor_to_dialler') => {
      const out: Record<string, number> = {};
      for (const connection of wanted) {
        for (const [length, n] of Object.entries(connection[way]?.garbage_run_lengths ?? {}))
          out[length] = (out[length] ?? 0) + n;
      }
      return out;
    };
    const found = (isDialler: boolean) => {
      const out: Record<string, number> = {};
      for (const line of lines) {
        if (line['type'] !== 'resync') continue;
        const connection = wanted.find(
          ({ from, to }) => [from, to].includes(line['from'] as string) && [from, to].includes(line['to'] as string),
        );
        if ((connection?.from === line['from']) !== isDialler) continue;
        out[line['skippedBytes']] = (out[line['skippedBytes']] ?? 0) + 1;
      }
      return out;
    };
    expect(found(true)).toEqual(runs('dialler_to_acceptor'));
    expect(found(false)).toEqual(runs('acceptor_to_dialler'));

    const fragments = (from: 'A' | 'B') =>
      ofSide(from).flatMap(({ record }) => ((record as Line | undefined)?.['fragment'] as Line | undefined) ?? []);
    const hex = ({ identification, field }: Line) =>
      [identification, field].map((n: number) => n.toString(16).padStart(4, '0')).join('');
    for (const side of ['A', 'B'] as const) {
      const directions = wanted.map((c) => (c.dialler === side ? c.dialler_to_acceptor : c.acceptor_to_dialler));
      const metadata = fragments(side).map(hex);
      expect(metadata).toHaveLength(sum(directions.map((d) => d?.fragment_flag_records ?? 0)));
      for (const listed of directions.flatMap((d) => d?.fragment_metadata_hex ?? []))
        expect(metadata).toContain(listed);
    }
    const compared = derived.fragment_metadata_vs_inner_ip_id_and_fragment_field;
    if (compared !== undefined) {
      const inner = packetsIn(result.inner);
      // Each record's metadata is the identification and the fragment field of the packet that was in it.
      const all = [...fragments('A'), ...fragments('B')].map(hex);
      const ofPackets = inner.filter((packet) => packet[0] === '4').map((packet) => packet.slice(8, 16));
      expect(all.length - surplus(all, ofPackets)).toBe(compared.equal);
    }
  });

  test('messages by side and type, and their bytes', () => {
    for (const side of ['A', 'B'] as const) {
      const types: Record<string, number> = {};
      for (const { wg } of ofSide(side)) types[wg['type']] = (types[wg['type']] ?? 0) + 1;
      expect(types).toEqual(derived[`wg_messages_from_${side}`]);
      const bytes = (list: Line[]) => sum(list.map(({ length }) => length as number));
      expect(bytes(ofSide(side))).toBe(derived[`wg_message_bytes_from_${side}`]);
      const before = ofSide(side).filter(({ time }) => Number(time) <= sidecar.counters_read_at_unix);
      expect(bytes(before)).toBe(derived.until_counters_were_read[`wg_message_bytes_from_${side}`]);
    }
  });

  test('the first messages, in order', () => {
    const found = messages.slice(0, derived.first_messages.length).map((line) => ({
      t: line['t'] as number,
      from: sideOf(line['from'] as string),
      type: line['wg']['type'] as number,
      wg_len: line['length'] as number,
      ...(line['carrier'] === 'tcp' ? { conn: line['connection'] as number } : {}),
    }));
    expect(found.map(({ t: _t, ...rest }) => rest)).toEqual(derived.first_messages.map(({ t: _t, ...rest }) => rest));
    found.forEach(({ t }, i) => expect(t).toBeCloseTo(derived.first_messages[i]!.t, 3));
  });

  test('each handshake message: when, from whom, its indices, MAC2, timestamp, and that it verifies', () => {
    const wire = (index: string) => index.slice(2).match(/../g)!.reverse().join('');
    const keyOf = { A: sidecar.A.public_key, B: sidecar.B.public_key };
    const found = messages
      .filter(({ wg }) => wg['type'] < 4)
      .map(({ t, from, wg }) => {
        const mac2 = (wg['mac2'] as boolean) ? 'mac2 set' : 'mac2 zero';
        if (wg['type'] === 1) {
          expect(wg['static']).toBe(keyOf[sideOf(from as string)]);
          return [
            t,
            'initiation',
            `from ${sideOf(from as string)}`,
            wire(wg['sender'] as string),
            mac2,
            wg['timestamp']['tai64n'],
          ];
        }
        if (wg['type'] === 2)
          return [t, 'response', wire(wg['sender'] as string), wire(wg['receiver'] as string), mac2];
        return [t, 'cookie', wire(wg['receiver'] as string)];
      });
    expect(found.map(([, ...rest]) => rest)).toEqual(derived.handshake_log.map(([, ...rest]) => rest));
    found.forEach(([t], i) => expect(t as number).toBeCloseTo(derived.handshake_log[i]![0] as number, 3));

    const good = (type: number, member: string) =>
      messages.filter(({ wg }) => wg['type'] === type && wg[member] === true).length;
    expect(good(1, 'handshake_ok')).toBe(derived.decryption['init_ok'] ?? 0);
    expect(good(2, 'handshake_ok')).toBe(derived.decryption['resp_ok'] ?? 0);
    expect(good(3, 'cookie_ok')).toBe(derived.decryption['cookie'] ?? 0);
  });

  test('each keepalive', () => {
    const found = messages
      .filter(({ wg }) => wg['keepalive'] === true)
      .map(({ t, from }) => [t, sideOf(from as string)] as const);
    expect(found.map(([, side]) => side)).toEqual(derived.keepalives.map(([, side]) => side));
    found.forEach(([t], i) => expect(t as number).toBeCloseTo(derived.keepalives[i]![0], 3));
    expect(found).toHaveLength(derived.decryption['keepalive'] ?? 0);
  });

  test('datagrams by flow', () => {
    const found: Record<string, number> = {};
    for (const { carrier, from, to } of messages) {
      if (carrier === 'udp') found[`${from} > ${to}`] = (found[`${from} > ${to}`] ?? 0) + 1;
    }
    expect(found).toEqual(derived.flows ?? {});
    expect(sum(Object.values(found))).toBe(derived.udp_datagrams ?? 0);
  });

  test('inner packets, byte for byte those that were seen on the tunnel interface', () => {
    const decrypted = packetsIn(result.inner);
    expect(decrypted).toHaveLength(summary['innerPackets'] as number);
    const file = sidecar.capture.inner_file === undefined ? null : readFixture(sidecar.capture.inner_file);
    if (file === null) return;
    const seen = packetsIn(file);
    expect({
      packets_in_inner_capture: seen.length,
      decrypted_not_in_inner: surplus(decrypted, seen),
      inner_not_decrypted: surplus(seen, decrypted),
    }).toEqual({
      packets_in_inner_capture: sidecar.inner_check!.packets_in_inner_capture,
      decrypted_not_in_inner: sidecar.inner_check!.decrypted_not_in_inner,
      inner_not_decrypted: sidecar.inner_check!.inner_not_decrypted,
    });
  });

  test('without keys, everything but what they open is the same', () => {
    const bare = linesOf(run(readFixture(sidecar.capture.file)!, [])).pop()!;
    const { decrypted: _d, undecrypted: _u, innerPackets: _i, ...rest } = expectedSummary(sidecar);
    expect(bare).toMatchObject(rest);
    expect(bare['decrypted']).toBe(0);
  });
});
