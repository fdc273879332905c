import { hostOf, sideOf, type Plan, type Side } from '../scenario/plan.js';

/** What was on the wire between the ends, from the lines of `wirestream decode --json`. */

export interface WireEvent {
  /** Unix time of that capture's clock, seconds */
  readonly at: number;
  readonly from: Side;
  readonly what: string;
  /** a WireGuard message; else a connection's beginning or end */
  readonly isMessage: boolean;
}

type Line = Readonly<Record<string, unknown>>;

const TYPES: Readonly<Record<number, string>> = { 1: 'initiation', 2: 'response', 3: 'cookie reply', 4: 'data' };

/** @param jsonLines lines that are cut short, and what strangers sent, are passed over */
export function wireEvents(jsonLines: string, plan: Plan): WireEvent[] {
  const events: WireEvent[] = [];
  for (const text of jsonLines.split('\n')) {
    let line: Line;
    try {
      line = JSON.parse(text) as Line;
    } catch {
      continue;
    }
    const what = line['type'] === 'message' ? message(line) : connection(line);
    if (what === null) continue;
    const isAcceptor = line['type'] === 'connection' && line['by'] === 'acceptor';
    const from = sideOf(hostOf(String(line[isAcceptor ? 'to' : 'from'])), plan);
    if (from !== null) events.push({ at: Number(line['time']), from, what, isMessage: line['type'] === 'message' });
  }
  return events;
}

function message(line: Line): string {
  const wg = (line['wg'] ?? {}) as { type?: number; counter?: unknown; keepalive?: boolean };
  const type = wg.keepalive === true ? 'keepalive' : (TYPES[wg.type ?? 0] ?? `type ${wg.type}`);
  const counter = wg.counter === undefined ? '' : ` ${String(wg.counter)}`;
  return `${type}${counter}, ${String(line['length'])} bytes, ${String(line['status'])}${inner(line['inner'])}`;
}

function inner(packet: unknown): string {
  if (packet === undefined) return '';
  if (typeof packet === 'string') return `, ${packet}`;
  const { source, destination, protocol, info } = packet as Line;
  return `, ${[source, '→', destination, protocol, info].filter(Boolean).join(' ')}`;
}

function connection(line: Line): string | null {
  if (line['type'] !== 'connection') return null;
  if (line['event'] === 'opened') return `dials ${String(line['to'])}`;
  if (line['event'] !== 'closing') return null;
  return `${line['how'] === 'RST' ? 'resets' : 'closes'} connection ${String(line['connection'])}`;
}
