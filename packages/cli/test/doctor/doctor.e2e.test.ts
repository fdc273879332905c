import { expect, jest, test } from '@jest/globals';
import { existsSync } from 'node:fs';
import { run } from '../e2e/support/command.js';
import { WIRESTREAM } from '../e2e/support/wirestream.js';

jest.setTimeout(60_000);

interface Report {
  version: string;
  driver: string;
  ready: boolean;
  findings: { id: string; state: string; details?: Record<string, unknown> }[];
}

/** The command on this machine, which can build tunnels: the other tests do. */
test('doctor finds this machine fit, and says the same twice', async () => {
  const { code, stdout, stderr } = await run([...WIRESTREAM, 'doctor', '--json']);
  expect([code, stderr]).toEqual([0, '']);
  const { version, driver, ready, findings } = JSON.parse(stdout) as Report;
  const details = (id: string) => findings.find((finding) => finding.id === id)?.details;
  expect({ version, ready }).toEqual({ version: expect.stringMatching(/^\d+\.\d+\.\d+$/), ready: true });
  const rooted = process.getuid?.() === 0 && existsSync('/dev/net/tun');
  expect(driver).toBe(rooted ? 'linux' : 'portable');
  expect(details('crypto')?.['inUse']).toContain('OpenSSL');
  if (rooted) expect(details('offload')?.['flags']).toEqual(expect.arrayContaining(['CSUM', 'TSO4', 'TSO6']));
  const words = await run([...WIRESTREAM, 'doctor']);
  expect(words.code).toBe(0);
  for (const { id } of findings.filter(({ state }) => state === 'problem')) expect(words.stdout).toContain(id);
  expect(words.stdout).toContain(rooted ? 'would make an interface' : 'in user space');
});

test('without privileges doctor says what up would do instead', async () => {
  if (process.getuid?.() !== 0) return;
  // Drops what makes root root, in this process only.
  const { code, stdout } = await run([
    'setpriv',
    '--bounding-set',
    '-net_admin',
    '--inh-caps',
    '-net_admin',
    ...WIRESTREAM,
    'doctor',
    '--json',
  ]);
  const { driver, ready, findings } = JSON.parse(stdout) as Report;
  expect({ code, driver, ready }).toEqual({ code: 0, driver: 'portable', ready: true });
  expect(findings.find(({ id }) => id === 'privileges')?.state).toBe('note');
});
