import type { Side } from './connection.js';
import { Status } from './message.js';
import type { Paint } from './paint.js';
import type { ConnectionTally, DirectionTally, PairTally, PeerDirectionTally, Tally } from './tally.js';
import { bitsPerSecond, bytes, count, seconds } from './words.js';

/** Connections that are listed one by one. */
const LISTED = 50;
const ARROWS = ['→', '←'] as const;

/** Why data was not decrypted, where the status alone does not say it. */
const WHY: Partial<Record<Status, string>> = { [Status.unknownSession]: 'their handshake is not in the capture' };

/** The totals, as they stand at the end of every timeline. */
export function totals(tally: Tally, paint: Paint): string[] {
  const { types } = tally;
  const other = tally.otherConnections === 0 ? '' : `, and ${tally.otherConnections} that have nothing to do with it`;
  const flows = tally.udpFlows === 0 ? '' : `, ${count(tally.udpFlows, 'UDP flow')}`;
  const rows: [string, string][] = [
    ['capture', `${count(tally.packets, 'packet')} in ${seconds(tally.seconds)}`],
    ['carriers', `${count(tally.connectionCount, 'TCP connection')}${other}${flows}`],
    ['records', `${tally.records}${types[0] === 0 ? '' : paint.odd(`, ${types[0]} of which hold no message`)}`],
    [
      'messages',
      `${count(types[1]!, 'initiation')}, ${count(types[2]!, 'response')}, ${count(types[3]!, 'cookie reply')}, ` +
        `${types[4]} data (${count(tally.keepalives, 'keepalive')})`,
    ],
    ['resyncs', tally.resyncs === 0 ? 'none' : `${tally.resyncs}, ${count(tally.skippedBytes, 'byte')} passed over`],
    ['handshakes', `${tally.handshakesCompleted} completed`],
    [
      'decrypted',
      `${tally.decrypted} of ${types[4]}, ${count(tally.innerPackets, 'inner packet')}, ${bytes(tally.innerBytes)}`,
    ],
  ];
  if (tally.undecrypted > 0) {
    const why = [...tally.undecryptedBy].map(([status, n]) => `${n}: ${WHY[status] ?? status}`).join(', ');
    rows.push(['not decrypted', paint.odd(why)]);
  }
  if (tally.replays > 0) rows.push(['replays', paint.odd(String(tally.replays))]);
  if (tally.duplicates > 0) rows.push(['duplicates', paint.odd(`${count(tally.duplicates, 'message')} seen before`)]);
  if (tally.gaps > 0) {
    rows.push(['missing', paint.odd(`${count(tally.missingBytes, 'byte')} in ${count(tally.gaps, 'gap')}`)]);
  }
  return rows.map(([name, value]) => `${paint.bold(name.padEnd(14))}${value}`);
}

/** What `--summary` prints: the totals, each connection, each pair of peers. */
export function summary(tally: Tally, paint: Paint): string[] {
  const lines = totals(tally, paint);
  for (const connection of tally.connections.slice(0, LISTED)) lines.push('', ...connectionLines(connection, paint));
  const more = tally.connections.length - LISTED;
  if (more > 0) lines.push('', `and ${count(more, 'connection')} more that carried records`);
  for (const pair of tally.pairs.values()) lines.push('', ...pairLines(pair, paint));
  return lines;
}

function connectionLines(tally: ConnectionTally, paint: Paint): string[] {
  const { connection } = tally;
  const { ends, dialler, acceptor } = connection;
  const closings = connection.closings.map(
    ({ side, how, after }) => `${side === dialler ? 'dialler' : 'acceptor'} ${how} at +${after.toFixed(3)} s`,
  );
  const how = connection.sawSyn ? '' : ' (dialled before the capture began)';
  const lines = [
    paint.bold(`tcp ${connection.id}  ${ends[dialler].text} → ${ends[acceptor].text}${how}`),
    `  lasted ${seconds(connection.lastAt - connection.beganAt)}, ${closings.length === 0 ? 'not closed' : closings.join(', ')}`,
  ];
  for (const side of [dialler, acceptor]) {
    lines.push(
      ...directionLines(tally.directions[side], connection.streams[side].repeated, side === dialler ? 0 : 1, paint),
    );
  }
  return lines;
}

function directionLines(direction: DirectionTally, repeated: number, arrow: Side, paint: Paint): string[] {
  if (direction.records === 0 && direction.gaps === 0) return [];
  const [invalid, initiations, responses, cookies, data] = direction.types as [number, number, number, number, number];
  const kinds = [
    initiations > 0 ? count(initiations, 'initiation') : '',
    responses > 0 ? count(responses, 'response') : '',
    cookies > 0 ? count(cookies, 'cookie reply') : '',
    data > 0 ? `${data} data (${count(direction.keepalives, 'keepalive')})` : '',
    invalid > 0 ? `${invalid} without a message` : '',
  ].filter((text) => text !== '');
  const lines = [
    `  ${ARROWS[arrow]} ${count(direction.records, 'record')}, ${bytes(direction.messageBytes)}: ${kinds.join(', ')}`,
  ];
  const odd = (text: string) => lines.push(paint.odd(`    ${text}`));
  if (direction.resyncs > 0) {
    const places = direction.resyncAt.slice(0, 8).join(', ');
    const more = direction.resyncs > 8 ? ', …' : '';
    odd(`${count(direction.resyncs, 'resync')}, ${count(direction.skippedBytes, 'byte')}, at offset ${places}${more}`);
  }
  if (direction.gaps > 0) odd(`${count(direction.missingBytes, 'byte')} missing in ${count(direction.gaps, 'gap')}`);
  if (direction.cut > 0) odd(`${count(direction.cut, 'record')} cut by them`);
  if (repeated > 0) lines.push(`    ${count(repeated, 'segment')} retransmitted`);
  return lines;
}

function pairLines(pair: PairTally, paint: Paint): string[] {
  const names = pair.peers.map((party) => (party === null ? 'unknown' : party.name));
  const trips = pair.handshakes.map(({ roundTrip }) => roundTrip).sort((a, b) => a - b);
  const rekeys = pair.handshakes.filter(({ rekey }) => rekey).length;
  const lines = [paint.bold(`${names[0]} ⇄ ${names[1]}`)];
  for (const party of pair.peers) if (party !== null) lines.push(paint.dim(`  ${party.name} is ${party.id}`));
  const range =
    trips.length === 0
      ? ''
      : `, round trip ${seconds(trips[0]!)}${trips.length > 1 ? ` to ${seconds(trips[trips.length - 1]!)}` : ''}`;
  const again = rekeys === 0 ? '' : `, ${rekeys} of them to rekey`;
  lines.push(`  ${count(pair.handshakeCount, 'handshake')}${again}${range}`);
  for (const i of [0, 1] as const) lines.push(...peerLines(pair.directions[i], i, paint));
  return lines;
}

function peerLines(direction: PeerDirectionTally, arrow: Side, paint: Paint): string[] {
  if (direction.data === 0) return [];
  const { throughput } = direction;
  const lines = [
    `  ${ARROWS[arrow]} ${direction.data} data (${count(direction.keepalives, 'keepalive')}), ${bytes(direction.messageBytes)}, ` +
      `${direction.decrypted} decrypted to ${bytes(direction.innerBytes)}`,
  ];
  const peak = Math.max(...throughput.columns) / throughput.width;
  lines.push(
    `    ${paint.name(throughput.sparkline())} ${seconds(throughput.width)} a column, at most ${bitsPerSecond(8 * peak)}`,
  );
  const odd = [
    direction.missingCounters > 0 ? `${count(direction.missingCounters, 'counter')} never seen` : '',
    direction.replays > 0 ? count(direction.replays, 'replay') : '',
    direction.failed > 0 ? `${direction.failed} failed authentication` : '',
  ].filter((text) => text !== '');
  if (odd.length > 0) lines.push(paint.odd(`    ${odd.join(', ')}`));
  return lines;
}
