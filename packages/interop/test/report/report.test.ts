import { expect, test } from '@jest/globals';
import { json, junit, table, totals } from '../../src/report/report.js';
import type { Result } from '../../src/scenario/runner.js';

const FAILED: Result = {
  name: 'udp v4: a <b> & "c"',
  verdict: 'failed',
  seconds: 12.34,
  reason: 'pings: no answer\nmore \u0007 of it',
  log: [
    { at: 10, side: 'both', text: 'interfaces', outcome: 'done' },
    { at: 2000, side: 'us', text: 'pings', outcome: 'FAILED: no answer' },
  ],
  kept: '/results/x',
};
const RESULTS: Result[] = [
  { name: 'one', verdict: 'passed', seconds: 1, reason: null, log: [], kept: null },
  FAILED,
  ...['tcp 1', 'tcp 2'].map((name) => ({
    name,
    verdict: 'skipped' as const,
    seconds: 0,
    reason: 'no TCP',
    log: [],
    kept: null,
  })),
];
const RUN = { kernel: 'Linux <6>', startedAt: '2026-01-01T00:00:00Z', seconds: 20, results: RESULTS };

test('the table has a line for each that ran, and one for those skipped for the same reason', () => {
  expect(totals(RESULTS)).toEqual({ passed: 1, failed: 1, skipped: 2 });
  const lines = table(RESULTS).trimEnd().split('\n');
  expect(lines).toHaveLength(3);
  expect(lines[0]).toMatch(/^PASS {2}one .* 1\.0 s$/);
  expect(lines[1]).toMatch(/^FAIL {2}udp v4: .* 12\.3 s {2}pings: no answer$/);
  expect(lines[2]).toBe('SKIPPED: 2 scenarios (tcp 1 … tcp 2): no TCP');
});

test('JSON holds the results and the totals', () => {
  expect(JSON.parse(json(RUN))).toMatchObject({
    kernel: 'Linux <6>',
    passed: 1,
    failed: 1,
    skipped: 2,
    results: RESULTS,
  });
});

test('JUnit: one case each, nothing that XML cannot hold', () => {
  const text = junit(RUN);
  expect(text).toContain('tests="4" failures="1" skipped="2"');
  expect(text.match(/<testcase /g)).toHaveLength(4);
  expect(text).toContain('name="udp v4: a &#60;b&#62; &#38; &#34;c&#34;"');
  expect(text).toContain('us: pings: FAILED: no answer');
  expect(text).not.toContain('\u0007');
  expect(text.match(/<skipped message="no TCP"\/>/g)).toHaveLength(2);
});
