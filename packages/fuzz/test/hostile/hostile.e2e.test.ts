import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, test } from '@jest/globals';
import { TCP_SCENARIOS, UDP_SCENARIOS } from '../../src/hostile/scenarios.js';
import type { DriverKind } from '../../src/hostile/arena.js';
import type { Verdict } from '../../src/hostile/run.js';

/** Processes run compiled code only. */
const SCRIPT = fileURLToPath(new URL('../../dist/hostile/run.js', import.meta.url));
const isBuilt = existsSync(SCRIPT);
const canTun = process.getuid?.() === 0 && existsSync('/dev/net/tun');

/** Why a driver cannot be attacked here, or null. */
function obstacle(driver: DriverKind): string | null {
  if (!isBuilt) return 'needs the build: npm run build';
  return driver === 'linux' && !canTun ? 'needs root and /dev/net/tun' : null;
}

async function attack(driver: DriverKind): Promise<{ verdicts: Verdict[]; words: string }> {
  const child = spawn(process.execPath, [SCRIPT, '--json', driver], { stdio: ['ignore', 'pipe', 'pipe'] });
  let [out, words] = ['', ''];
  child.stdout.setEncoding('utf8').on('data', (text: string) => (out += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (words += text));
  await new Promise((resolve) => child.on('close', resolve));
  return { verdicts: out.split('\n').flatMap((line) => (line === '' ? [] : [JSON.parse(line) as Verdict])), words };
}

describe.each(['portable', 'linux'] as const)('hostile load on the %s driver', (driver) => {
  const why = obstacle(driver);
  const run = why === null ? test : test.skip;
  let result: { verdicts: Verdict[]; words: string } = { verdicts: [], words: '' };

  beforeAll(async () => {
    if (why === null) result = await attack(driver);
  }, 120_000);

  run.each([...TCP_SCENARIOS, ...UDP_SCENARIOS].map(({ name }) => name))(
    `%s: within its bounds${why === null ? '' : ` (SKIPPED: ${why})`}`,
    (name) => {
      const verdict = result.verdicts.find(({ scenario }) => scenario === name);
      if (verdict === undefined) throw new Error(`nothing was measured: ${result.words}`);
      expect(verdict.findings.filter(({ value, bound }) => !(value <= bound))).toEqual([]);
      expect(verdict.findings.length).toBeGreaterThan(5);
    },
  );
});
