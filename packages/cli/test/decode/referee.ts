import { execFileSync, spawnSync } from 'node:child_process';
import type { Line } from './run.js';

/** Wireshark as the referee, where it is installed. */
export const HAS_TSHARK = spawnSync('tshark', ['--version']).status === 0;

const FIELDS = [
  'wg.type',
  'wg.sender',
  'wg.receiver',
  'wg.counter',
  'wg.stream',
  'wg.keepalive',
  'wg.handshake_ok',
  'wg.response_to',
  'wg.ephemeral',
  'wg.static',
  'wg.receiver_pubkey',
  'wg.timestamp.tai64_label',
  'wg.timestamp.nanoseconds',
  'udp.length',
  'ip.src',
  'ip.dst',
  'ip.len',
  'ip.proto',
  'ipv6.src',
  'ipv6.dst',
  'ipv6.plen',
] as const;

/** One message, as both see it. What does not apply is ''. */
export interface Row {
  type: string;
  sender: string;
  receiver: string;
  counter: string;
  stream: string;
  keepalive: boolean;
  handshakeOk: string;
  responseTo: string;
  ephemeral: string;
  static: string;
  receiverKey: string;
  timestamp: string;
  udpLength: string;
  /** of the packet inside, where it was decrypted: source, destination, length, and over IPv4 the protocol */
  inner: string;
}

/** What tshark sees in a capture's interface "outer", which is the first one: each WireGuard message, decrypted with the embedded secrets. */
export function tshark(file: string): Row[] {
  const fields = FIELDS.flatMap((field) => ['-e', field]);
  const options = ['-o', 'ip.check_checksum:TRUE', '-o', 'udp.check_checksum:TRUE', '-o', 'wg.dissect_packet:TRUE'];
  const shape = ['-T', 'fields', '-E', 'separator=/t', '-E', 'occurrence=a', '-E', 'aggregator=|'];
  const args = ['-n', '-r', file, ...options, '-Y', 'wg && frame.interface_id == 0', ...shape, ...fields];
  const out = execFileSync('tshark', args, { stdio: ['ignore', 'pipe', 'ignore'], maxBuffer: 1 << 28 }).toString();
  return out === '' ? [] : out.replace(/\n$/, '').split('\n').map(rowOf);
}

function rowOf(line: string): Row {
  const cells = line.split('\t');
  const of = (field: (typeof FIELDS)[number]): string[] => {
    const cell = cells[FIELDS.indexOf(field)] ?? '';
    return cell === '' ? [] : cell.split('|');
  };
  const first = (field: (typeof FIELDS)[number]): string => of(field)[0] ?? '';
  // tshark prints nothing for a keepalive flag that is false, and "0" in some versions.
  return {
    type: first('wg.type'),
    sender: first('wg.sender'),
    receiver: first('wg.receiver'),
    counter: first('wg.counter'),
    stream: first('wg.stream'),
    keepalive: first('wg.keepalive') !== '' && first('wg.keepalive') !== '0',
    handshakeOk: first('wg.handshake_ok'),
    responseTo: first('wg.response_to'),
    ephemeral: first('wg.ephemeral'),
    static: first('wg.static'),
    receiverKey: first('wg.receiver_pubkey'),
    timestamp: [first('wg.timestamp.tai64_label'), first('wg.timestamp.nanoseconds')].join(' ').trim(),
    udpLength: first('udp.length'),
    inner: innerOf(of),
  };
}

/** Addresses come from the outside in: the carrier's first, then the packet's inside, then those in an ICMP error. */
function innerOf(of: (field: (typeof FIELDS)[number]) => string[]): string {
  const outerIs4 = of('ip.src').length > 0 && (of('ipv6.src').length === 0 || isOutermost4(of));
  const at4 = outerIs4 ? 1 : 0;
  const at6 = outerIs4 ? 0 : 1;
  const source4 = of('ip.src')[at4];
  const source6 = of('ipv6.src')[at6];
  if (source4 !== undefined) {
    return `${source4} ${of('ip.dst')[at4]} ${of('ip.len')[at4]} ${of('ip.proto')[at4]}`;
  }
  if (source6 === undefined) return '';
  return `${source6} ${of('ipv6.dst')[at6]} ${Number(of('ipv6.plen')[at6]) + 40}`;
}

/** Of a message with both families which is outside: the IP header whose length is that of the UDP datagram. */
function isOutermost4(of: (field: (typeof FIELDS)[number]) => string[]): boolean {
  return Number(of('ip.len')[0]) === Number(of('udp.length')[0]) + 20;
}

const PROTOCOLS: Readonly<Record<string, number>> = { icmp: 1, tcp: 6, udp: 17, icmpv6: 58 };

/**
 * The same, as `decode --json` has it.
 * @param isSame whether it decoded the file that tshark read; else one that has one frame for each message was made from it
 */
export function expected(lines: readonly Line[], isSame: boolean): Row[] {
  const messages = lines.filter(({ type }) => type === 'message');
  const answeredBy = ({ wg }: Line) => messages.findIndex(({ frame }) => frame === wg['response_to']);
  // Wireshark pairs messages by addresses and ports as well: a response that came over another connection is lost on it.
  const lost = new Set<number>();
  for (const line of messages) {
    const answered = messages[answeredBy(line)];
    if (line['wg']['type'] === 2 && answered?.['from'] !== line['to']) lost.add(line['wg']['stream'] as number);
  }
  return messages.map((line) => {
    const wg = line['wg'] as Line;
    const answered = answeredBy(line);
    const isLost = wg['type'] !== 1 && lost.has(wg['stream'] as number);
    // It has no session for a cookie reply to a response either.
    const isPaired = !isLost && (wg['type'] !== 3 || messages[answered]?.['wg']['type'] === 1);
    const isOk = wg['handshake_ok'] as boolean | undefined;
    return {
      type: `${wg['type']}`,
      sender: text(wg['sender']),
      receiver: text(wg['receiver']),
      counter: text(wg['counter']),
      stream: isPaired ? text(wg['stream']) : '',
      keepalive: wg['keepalive'] === true,
      handshakeOk: isPaired && wg['type'] === 2 && isOk !== undefined ? (isOk ? '1' : '0') : '',
      responseTo: isPaired && answered >= 0 ? `${isSame ? wg['response_to'] : answered + 1}` : '',
      ephemeral: text(wg['ephemeral']),
      static: text(wg['static']),
      receiverKey: text(wg['receiver_pubkey']),
      timestamp: timestamp(wg),
      udpLength: `${(line['length'] as number) + 8}`,
      inner: isPaired ? inner(line) : '',
    };
  });
}

function text(value: unknown): string {
  return value === undefined ? '' : `${value as string | number}`;
}

function timestamp(wg: Line): string {
  const tai64n = (wg['timestamp'] as { tai64n: string } | undefined)?.tai64n;
  return tai64n === undefined ? '' : `${BigInt(`0x${tai64n.slice(0, 16)}`)} ${Number.parseInt(tai64n.slice(16), 16)}`;
}

function inner(line: Line): string {
  const packet = line['inner'] as Line | undefined;
  if (packet === undefined || packet['version'] === 0) return '';
  const { version, source, destination, length, protocol } = packet as Record<string, string>;
  const base = `${source} ${destination} ${length}`;
  return version === (4 as unknown) ? `${base} ${PROTOCOLS[protocol!] ?? protocol}` : base;
}
