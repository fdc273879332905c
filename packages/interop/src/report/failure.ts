import { other, type Side } from '../scenario/plan.js';
import { lastDone, type Result } from '../scenario/runner.js';
import type { WireEvent } from './wire.js';

/** The story of a failure: what each side did last, by the scenario's steps and on the wire, all of it on one clock. */

export interface Evidence {
  /** Unix time at which the scenario began, seconds */
  readonly began: number;
  /** Unix time from which a kernel's log counts, seconds; null when it is not known */
  readonly booted: number | null;
  /** as captured at that side's outer interface; null when nothing was captured there */
  readonly wire: Readonly<Record<Side, readonly WireEvent[] | null>>;
  /** what `show` said, and how the other end would be reached */
  readonly states: Readonly<Record<Side, string>>;
  /** whole */
  readonly logs: Readonly<Record<Side, string>>;
  /** our capture in words, with the seconds since its first packet at the beginning of each line */
  readonly decoded: string;
  /** Unix time of that first packet, seconds */
  readonly firstPacket: number | null;
}

const NAMES: Readonly<Record<Side, string>> = { us: 'wirestream', kernel: 'the kernel' };
const SIDES = ['us', 'kernel'] as const;
/** Lines of the ends of logs, capture and states. */
const LOG_LINES = 15;
const CAPTURE_LINES = 25;
const STATE_LINES = 40;

export function failureReport(result: Result, evidence: Evidence): string {
  const { began, logs, decoded } = evidence;
  const lines = [
    `FAIL ${result.name}, after ${result.seconds.toFixed(1)} s`,
    `  ${(result.reason ?? '').replace(/\n/g, '\n  ')}`,
    '',
    `  all times are seconds since the scenario began, at ${new Date(began * 1000).toISOString()}`,
  ];
  for (const side of SIDES) {
    lines.push(
      '',
      `  ${NAMES[side]} did last   ${lastDone(result.log, side)?.split('\n')[0] ?? 'nothing'}`,
      `  ${NAMES[side]} sent last  ${sentLast(side, evidence)}`,
      `  ${NAMES[side]} was heard  ${heard(side, evidence)}`,
    );
  }
  lines.push('', '  steps');
  for (const { at, side, text, outcome } of result.log) {
    const [first = ''] = (outcome ?? 'not finished').split('\n');
    lines.push(`    ${seconds(at / 1000)}  ${side.padEnd(6)}  ${text}: ${first}`);
  }
  for (const side of SIDES) {
    lines.push('', `  state of ${NAMES[side]}`, ...tail(evidence.states[side], STATE_LINES));
  }
  for (const side of SIDES) {
    const log = onOneClock(logs[side], evidence);
    lines.push('', `  log of ${NAMES[side]}, its end`, ...tail(log, LOG_LINES));
  }
  const capture = fromFirstPacket(decoded, evidence);
  lines.push('', '  the capture at wirestream’s end, decoded, its end', ...tail(capture, CAPTURE_LINES));
  if (result.kept !== null) lines.push('', `  all of it is in ${result.kept}`);
  return `${lines.join('\n')}\n`;
}

/** Its own capture knows best; where there is none, the other side's. */
function sentLast(side: Side, { wire, began }: Evidence): string {
  const seen = wire[side] ?? wire[other(side)];
  if (seen === null) return 'not known: nothing was captured';
  const last = seen.filter(({ from }) => from === side).at(-1);
  return last === undefined ? 'nothing' : `${(last.at - began).toFixed(1)} s: ${last.what}`;
}

/** How much of what a side sent reached the other one's interface. */
function heard(side: Side, { wire }: Evidence): string {
  const count = (events: readonly WireEvent[]): number =>
    events.filter(({ from, isMessage }) => isMessage && from === side).length;
  const [here, there] = [wire[side], wire[other(side)]];
  if (here === null || there === null) return 'not known: one side has no capture';
  const [sent, arrived] = [count(here), count(there)];
  if (sent === 0) return 'it sent no message';
  if (arrived === 0) return `not at all: of its ${sent} messages none reached ${NAMES[other(side)]}`;
  return `${arrived} of its ${sent} messages reached ${NAMES[other(side)]}`;
}

/** Log lines with the time of day, or with that since a kernel's boot, at their beginnings. */
function onOneClock(log: string, { began, booted }: Evidence): string {
  return log
    .replace(/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z/g, (at) => seconds(Date.parse(at) / 1000 - began))
    .replace(/^\[ *(\d+\.\d+)\]/gm, (text, at: string) =>
      booted === null ? text : seconds(booted + Number(at) - began),
    );
}

function fromFirstPacket(decoded: string, { began, firstPacket }: Evidence): string {
  if (firstPacket === null) return decoded;
  return decoded.replace(/^ *(\d+\.\d{6}) /gm, (_, at: string) => `${seconds(firstPacket + Number(at) - began)}  `);
}

function seconds(at: number): string {
  return `${at.toFixed(2).padStart(7)} s`;
}

function tail(text: string, count: number): string[] {
  const lines = text.trimEnd().split('\n').filter(Boolean);
  return lines.length === 0 ? ['    (empty)'] : lines.slice(-count).map((line) => `    ${line}`);
}
