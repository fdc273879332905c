import { lastDone, type Result } from '../scenario/runner.js';
import type { Plan, Side } from '../scenario/plan.js';

/** The story of a failure: what each side did last, by the scenario's steps and on the wire. */

/** A message of the capture, from a line of `wirestream decode --json`. */
export interface WireMessage {
  /** seconds since the first packet */
  readonly t: number;
  readonly from: Side;
  readonly what: string;
}

const TYPES: Readonly<Record<number, string>> = { 1: 'initiation', 2: 'response', 3: 'cookie reply', 4: 'data' };

/** @param jsonLines of the decoded capture; lines that are cut short are passed over */
export function wireMessages(jsonLines: string, plan: Plan): WireMessage[] {
  const messages: WireMessage[] = [];
  for (const line of jsonLines.split('\n')) {
    let event;
    try {
      event = JSON.parse(line) as Record<string, unknown>;
    } catch {
      continue;
    }
    if (event['type'] !== 'message') continue;
    const from = sideOf(String(event['from']), plan);
    if (from === null) continue;
    const wg = (event['wg'] ?? {}) as { type?: number; counter?: unknown; keepalive?: boolean };
    const type = TYPES[wg.type ?? 0] ?? `type ${wg.type}`;
    const counter = wg.counter === undefined ? '' : ` ${String(wg.counter)}`;
    const inner = event['inner'] === undefined ? '' : `, ${innerText(event['inner'])}`;
    const what = `${wg.keepalive === true ? 'keepalive' : type}${counter}, ${String(event['length'])} bytes, ${String(event['status'])}${inner}`;
    messages.push({ t: Number(event['t']), from, what });
  }
  return messages;
}

function innerText(inner: unknown): string {
  return typeof inner === 'string' ? inner : JSON.stringify(inner).slice(0, 160);
}

function sideOf(endpoint: string, { us, kernel }: Plan): Side | null {
  const host = endpoint.replace(/:\d+$/, '').replace(/^\[|\]$/g, '');
  const has = (end: Plan['us']): boolean => [end.outer, end.spare].some((o) => o[4] === host || o[6] === host);
  return has(us) ? 'us' : has(kernel) ? 'kernel' : null;
}

const NAMES: Readonly<Record<Side, string>> = { us: 'wirestream', kernel: 'the kernel' };

/** @param logs by side, whole */
export function failureReport(
  result: Result,
  messages: readonly WireMessage[],
  logs: Readonly<Record<Side, string>>,
  decoded: string,
): string {
  const lines = [`FAIL ${result.name}`, `  ${(result.reason ?? '').replace(/\n/g, '\n  ')}`, ''];
  for (const side of ['us', 'kernel'] as const) {
    const sent = messages.filter(({ from }) => from === side).at(-1);
    lines.push(
      `  ${NAMES[side]} did last   ${lastDone(result.log, side)?.split('\n')[0] ?? 'nothing'}`,
      `  ${NAMES[side]} sent last  ${sent === undefined ? 'nothing that was captured' : `${sent.t.toFixed(3)} s in the capture: ${sent.what}`}`,
    );
  }
  lines.push('', '  steps');
  for (const { at, side, text, outcome } of result.log) {
    lines.push(
      `    ${(at / 1000).toFixed(1).padStart(6)} s  ${side.padEnd(6)}  ${text}: ${(outcome ?? 'not finished').split('\n')[0]!}`,
    );
  }
  for (const side of ['us', 'kernel'] as const) {
    lines.push('', `  log of ${NAMES[side]}, its end`, ...tail(logs[side], 15));
  }
  lines.push('', '  the capture, decoded, its end', ...tail(decoded, 25));
  if (result.kept !== null) lines.push('', `  all of it is in ${result.kept}`);
  return `${lines.join('\n')}\n`;
}

function tail(text: string, count: number): string[] {
  const lines = text.trimEnd().split('\n').filter(Boolean);
  return lines.length === 0 ? ['    (empty)'] : lines.slice(-count).map((line) => `    ${line}`);
}
