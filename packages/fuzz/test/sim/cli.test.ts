import { describe, expect, test } from '@jest/globals';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { sim } from '../../src/cli/sim.js';
import { PROPERTIES } from '../../src/sim/properties.js';

const SCRIPT = fileURLToPath(new URL('regressions/silent-move-under-traffic.json', import.meta.url));

async function run(...args: string[]): Promise<[number, string]> {
  const lines: string[] = [];
  const code = await sim(args, { out: (line) => lines.push(line) });
  return [code, lines.join('\n')];
}

describe('npm run sim', () => {
  test('--seed replays one run, the same each time', async () => {
    const [code, text] = await run('--seed', '5', '--steps', '12');
    expect(code).toBe(0);
    expect(text).toMatch(/all properties hold: \d+ steps/);
    expect((await run('--seed', '5', '--steps', '12'))[1]).toBe(text);
  });

  test('--print gives a script that --script runs to the same end', async () => {
    const folder = mkdtempSync(path.join(tmpdir(), 'sim-'));
    try {
      const file = path.join(folder, 'script.json');
      writeFileSync(file, (await run('--seed', '8', '--steps', '10', '--print'))[1]);
      expect(await run('--script', file)).toEqual(await run('--seed', '8', '--steps', '10'));
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  test('--story tells who dialled and which connection is active', async () => {
    const [, text] = await run('--script', SCRIPT, '--story');
    expect(text).toMatch(/host 0 dials 192\.0\.0\.\d+:51820/);
    expect(text).toMatch(/\*#\d+ (outbound|inbound) authenticated/);
  });

  test('--runs goes through a number of seeds and says what it saw', async () => {
    const [code, text] = await run('--runs', '20', '--from', '100', '--jobs', '1', '--steps', '10');
    expect(code).toBe(0);
    expect(text).toMatch(/20 runs, no property broken/);
  });

  test('a failure gives code 1, the property and the script', async () => {
    const folder = mkdtempSync(path.join(tmpdir(), 'sim-'));
    try {
      const file = path.join(folder, 'script.json');
      const [, printed] = await run('--seed', '8', '--steps', '3', '--print');
      // With one way of ten minutes nobody finds anybody.
      writeFileSync(file, printed.replace(/"transport":"\w+","latency":\d+/, '"transport":"tcp","latency":600000'));
      const [code, text] = await run('--script', file);
      expect(code).toBe(1);
      expect(text).toMatch(/FAILED liveness/);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  test('a campaign that is stopped says what was done and how to go on', async () => {
    const stop = new AbortController();
    const lines: string[] = [];
    const options = { out: (line: string) => lines.push(line), progress: () => stop.abort(), signal: stop.signal };
    expect(await sim(['--forever', '--from', '500', '--jobs', '1', '--steps', '5'], options)).toBe(130);
    expect(lines.join('\n')).toMatch(/^50 runs in .*\nstopped; no property broken so far.* --from 550 /m);
  });

  test('--states lists what the runs came to', async () => {
    const [, text] = await run('--runs', '20', '--from', '100', '--jobs', '1', '--steps', '10', '--states');
    expect(text).toMatch(/^ +\d+ {2}none, none, no pending$/m);
    expect(text).toMatch(/^ +\d+ {2}none, none, no pending → none\+dialling, none, no pending$/m);
  });

  test('--help names the options and all properties', async () => {
    const [code, text] = await run('--help');
    expect(code).toBe(0);
    for (const word of ['--runs', '--forever', '--seed', '--script', ...Object.keys(PROPERTIES)])
      expect(text).toContain(word);
  });

  test('nonsense is refused', async () => {
    await expect(run('--seed', 'abc')).rejects.toThrow(/whole number/);
    await expect(run('--bogus')).rejects.toThrow(/bogus/);
  });
});
