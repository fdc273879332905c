import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { Arena, type DriverKind } from './arena.js';
import { TCP_SCENARIOS, UDP_SCENARIOS, type Finding, type Scenario } from './scenarios.js';

/**
 * Hostile load on running tunnels, on real sockets: `node run.js [--json] [--busy] [portable|linux]`. Prints what was measured, and exits with 1 when anything is
 * beyond its bound; with --busy, durations may be ten times as long, for machines that do other things as well. As root everything happens in a network namespace of its own, because a TUN and a hundred addresses do.
 */
export interface Verdict {
  readonly driver: DriverKind;
  readonly scenario: string;
  readonly findings: readonly Finding[];
}

/** Set in the process that is inside the namespace. */
const INSIDE = 'WIRESTREAM_HOSTILE_INSIDE';
const isRoot = process.getuid?.() === 0;
const canTun = isRoot && process.platform === 'linux' && existsSync('/dev/net/tun');

const args = process.argv.slice(2);
const json = args.includes('--json');
const patience = args.includes('--busy') ? 10 : 1;
const wanted = args.filter((arg): arg is DriverKind => arg === 'portable' || arg === 'linux');

if (canTun && process.env[INSIDE] === undefined) {
  const script = 'ip link set lo up && exec "$0" "$@"';
  const command = ['--net', 'sh', '-c', script, process.execPath, ...process.execArgv, process.argv[1]!, ...args];
  const { status } = spawnSync('unshare', command, { stdio: 'inherit', env: { ...process.env, [INSIDE]: '1' } });
  process.exitCode = status ?? 1;
} else {
  const drivers = (wanted.length > 0 ? wanted : (['portable', 'linux'] as const)).filter(
    (kind) => kind !== 'linux' || canTun,
  );
  for (const driver of drivers) {
    await attack(driver, 'tcp', TCP_SCENARIOS);
    await attack(driver, 'udp', UDP_SCENARIOS);
  }
}

async function attack(driver: DriverKind, transport: 'tcp' | 'udp', scenarios: readonly Scenario[]): Promise<void> {
  const arena = await Arena.open(driver, transport);
  try {
    for (const { name, run } of scenarios) {
      const findings = await run(arena);
      report({ driver, scenario: name, findings: findings.map(stretch) });
    }
  } finally {
    await arena.close();
  }
}

function stretch(finding: Finding): Finding {
  return finding.isTime === true ? { ...finding, bound: finding.bound * patience } : finding;
}

function report(verdict: Verdict): void {
  const broken = verdict.findings.filter(({ value, bound }) => !(value <= bound));
  if (broken.length > 0) process.exitCode = 1;
  if (json) return console.log(JSON.stringify(verdict, (_, part: unknown) => (part === Infinity ? 1e99 : part)));
  const told = verdict.findings.map(({ what, value, bound }) => `${what} ${round(value)} (at most ${round(bound)})`);
  console.log(`${broken.length > 0 ? 'FAILED ' : ''}${verdict.driver}: ${verdict.scenario}: ${told.join('; ')}`);
}

function round(n: number): string {
  return Number.isInteger(n) ? String(n) : n.toPrecision(3);
}
