/** What a sidecar says of its capture (fixtures/kernel/README.md), from the lines of `wirestream decode --json`. */

// eslint-disable-next-line @typescript-eslint/no-explicit-any
export type Line = Record<string, any>;
export type Party = 'A' | 'B';

/** How many of the first messages are listed. */
const FIRST = 14;

export function parseLines(text: string): Line[] {
  return text
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as Line);
}

/**
 * @param partyOf whose an outer endpoint is
 * @param countersRead Unix time, seconds
 */
export function derive(
  lines: readonly Line[],
  partyOf: (endpoint: string) => Party,
  firstPacket: number,
  countersRead: number,
): Line {
  const messages = lines.filter(({ type }) => type === 'message');
  const summary = lines.find(({ type }) => type === 'summary')!;
  const of = (party: Party): Line[] => messages.filter(({ from }) => partyOf(from as string) === party);
  const bytes = (list: readonly Line[]): number => list.reduce((sum, { length }) => sum + (length as number), 0);
  const early = (party: Party): Line[] => of(party).filter(({ time }) => Number(time) <= countersRead);
  const good = (type: number, member: string): number =>
    messages.filter(({ wg }) => wg.type === type && wg[member] === true).length;
  const connections = lines.filter(({ type, event }) => type === 'connection' && event === 'finished');
  const datagrams = messages.filter(({ carrier }) => carrier === 'udp');
  const opened = new Map(
    lines.filter(({ type, event }) => type === 'connection' && event === 'opened').map((l) => [l['connection'], l]),
  );
  return {
    packets: summary['packets'],
    first_packet_unix: firstPacket,
    last_packet_unix: firstPacket + (summary['seconds'] as number),
    ...(connections.length === 0
      ? {}
      : {
          tcp_connections: connections.map((line) =>
            tcpConnection(line, Number(opened.get(line['connection'])!['time']), partyOf, messages),
          ),
        }),
    ...(datagrams.length === 0
      ? {}
      : { udp_datagrams: datagrams.length, flows: count(datagrams.map(({ from, to }) => `${from} > ${to}`)) }),
    wg_messages_from_A: count(of('A').map(({ wg }) => `${wg.type}`)),
    wg_messages_from_B: count(of('B').map(({ wg }) => `${wg.type}`)),
    wg_message_bytes_from_A: bytes(of('A')),
    wg_message_bytes_from_B: bytes(of('B')),
    until_counters_were_read: {
      wg_message_bytes_from_A: bytes(early('A')),
      wg_message_bytes_from_B: bytes(early('B')),
    },
    first_messages: messages.slice(0, FIRST).map(({ t, from, wg, length, carrier, connection }) => ({
      t: round(t as number),
      from: partyOf(from as string),
      type: wg.type,
      wg_len: length,
      ...(carrier === 'tcp' ? { conn: connection } : {}),
    })),
    decryption: {
      data_ok: summary['decrypted'],
      init_ok: good(1, 'handshake_ok'),
      ...(summary['messages'].keepalive > 0 ? { keepalive: summary['messages'].keepalive } : {}),
      resp_ok: good(2, 'handshake_ok'),
      ...(summary['messages'].cookie > 0 ? { cookie: good(3, 'cookie_ok') } : {}),
    },
    handshakes_completed: summary['handshakesCompleted'],
    handshake_log: messages.filter(({ wg }) => wg.type < 4).map((line) => handshakeEntry(line, partyOf)),
    keepalives: messages
      .filter(({ wg }) => wg.keepalive === true)
      .map(({ t, from }) => [round(t as number), partyOf(from as string)]),
  };
}

/** Indices are listed as their bytes are on the wire, timestamps in hexadecimal. */
function handshakeEntry({ t, from, wg }: Line, partyOf: (endpoint: string) => Party): unknown[] {
  const wire = (index: string): string => index.slice(2).match(/../g)!.reverse().join('');
  const mac2 = wg.mac2 === false ? 'mac2 zero' : 'mac2 set';
  const at = round(t as number);
  if (wg.type === 1) {
    return [
      at,
      'initiation',
      `from ${partyOf(from as string)}`,
      wire(wg.sender as string),
      mac2,
      wg.timestamp?.tai64n ?? '',
    ];
  }
  if (wg.type === 2) return [at, 'response', wire(wg.sender as string), wire(wg.receiver as string), mac2];
  return [at, 'cookie', wire(wg.receiver as string)];
}

function tcpConnection(
  line: Line,
  synAt: number,
  partyOf: (endpoint: string) => Party,
  messages: readonly Line[],
): Line {
  const way = (tally: Line, from: string): Line => {
    const fragments = messages
      .filter((m) => m['connection'] === line['connection'] && m['from'] === from)
      .flatMap((m) => (m['record']?.fragment === undefined ? [] : [m['record'].fragment as Line]));
    const hex = ({ identification, field }: Line): string =>
      [identification, field].map((n: number) => n.toString(16).padStart(4, '0')).join('');
    return {
      bytes: tally['bytes'],
      records: tally['records'],
      wg_types: tally['types'],
      ...(fragments.length === 0
        ? {}
        : { fragment_flag_records: fragments.length, fragment_metadata_hex: fragments.map(hex) }),
      ...(tally['resyncs'] === 0 ? {} : { garbage_runs: tally['resyncs'], garbage_bytes: tally['skippedBytes'] }),
    };
  };
  const repeated = line['diallerToAcceptor'].repeatedSegments + line['acceptorToDialler'].repeatedSegments;
  return {
    dialler: partyOf(line['from'] as string),
    from: line['from'],
    to: line['to'],
    syn_at: synAt,
    established: line['established'],
    closing: (line['closing'] as Line[]).map(
      ({ by, how, after }) => `${by} ${how} at +${(after as number).toFixed(3)} s`,
    ),
    dialler_to_acceptor: way(line['diallerToAcceptor'] as Line, line['from'] as string),
    acceptor_to_dialler: way(line['acceptorToDialler'] as Line, line['to'] as string),
    ...(repeated === 0 ? {} : { retransmitted_segments: repeated }),
  };
}

function count(words: readonly string[]): Record<string, number> {
  const out: Record<string, number> = {};
  for (const word of words) out[word] = (out[word] ?? 0) + 1;
  return out;
}

/** Times since the first packet have four decimals. */
function round(seconds: number): number {
  return Math.round(seconds * 1e4) / 1e4;
}
