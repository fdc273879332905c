import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Profiler } from 'node:inspector';
import { CoverageMap } from './coverage.js';
import { runCampaign, type DriverRun } from './main.js';
import { parseOptions, USAGE } from './options.js';
import { readRegression, replay, replayBytes } from './replay.js';
import { subjects } from './subjects.js';

const PACKAGE = fileURLToPath(new URL('../../', import.meta.url));
const FIXTURES = path.join(PACKAGE, '../../fixtures');
export const REGRESSIONS = path.join(PACKAGE, 'test/regressions');

/** How long tunnels are used at the end, to see that the drivers work. */
const SOAK_MINUTES = 0.5;
/** Pairs of tunnels that programs use then: each transport, with the portable and the Linux driver, twice. */
const ROUNDS = 12;

/** `npm run fuzz`. @returns the exit code */
export async function fuzz(args: readonly string[], out: (line: string) => void): Promise<number> {
  const options = parseOptions(args);
  if (options.help) {
    out(USAGE);
    return 0;
  }
  const all = subjects(FIXTURES);
  if (options.list) {
    for (const { name, says } of all) out(`${name.padEnd(20)} ${says}`);
    return 0;
  }
  for (const name of options.targets)
    if (!all.some((subject) => subject.name === name)) throw new Error(`there is no target ${name}; --list shows them`);
  if (options.replay !== undefined) {
    const isBytes = !options.replay.endsWith('.json');
    const regression = isBytes ? null : readRegression(options.replay);
    const name = regression?.target ?? options.targets[0];
    const subject = all.find((one) => one.name === name);
    if (subject === undefined) throw new Error('--replay of bytes wants a --target');
    if (regression === null) replayBytes(subject, new Uint8Array(readFileSync(options.replay)));
    else replay(subject, regression);
    out(`${name}: the property holds`);
    return 0;
  }
  const targets = options.targets.length > 0 ? options.targets : all.map(({ name }) => name);
  const faults = await runCampaign(options, targets, {
    fixtures: FIXTURES,
    regressions: REGRESSIONS,
    out,
    drivers: options.drivers && options.targets.length === 0 ? () => coverDrivers(out) : null,
  });
  return faults === 0 ? 0 : 1;
}

/** Runs hostile load, a short soak and programs that use tunnels, in processes of their own, with coverage of all their threads. */
async function coverDrivers(out: (line: string) => void): Promise<DriverRun> {
  const folder = mkdtempSync(path.join(tmpdir(), 'wirestream-fuzz-'));
  try {
    const hostile = await runScript('../hostile/run.js', ['--busy'], folder, out);
    const soaked = await runScript('../soak/run.js', ['--minutes', String(SOAK_MINUTES)], folder, out);
    const used = await runScript('../flows/run.js', ['--rounds', String(ROUNDS)], folder, out);
    const map = new CoverageMap();
    for (const file of readdirSync(folder)) {
      const { result } = JSON.parse(readFileSync(path.join(folder, file), 'utf8')) as {
        result: Profiler.ScriptCoverage[];
      };
      map.add(result.filter(({ url }) => url.includes('/packages/core/')));
    }
    return { data: map.toData(), held: hostile && soaked && used };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** @returns whether it said that all is well */
async function runScript(
  file: string,
  args: readonly string[],
  coverage: string,
  out: (line: string) => void,
): Promise<boolean> {
  const env = { ...process.env, NODE_V8_COVERAGE: coverage };
  const child = spawn(process.execPath, [fileURLToPath(new URL(file, import.meta.url)), ...args], {
    env,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    for (const line of text.split('\n')) if (line !== '') out(`  ${line}`);
  });
  return (await new Promise((resolve) => child.on('close', resolve))) === 0;
}
