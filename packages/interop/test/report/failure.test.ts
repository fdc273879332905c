import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, test } from '@jest/globals';
import { freshKeys } from '../../src/keys.js';
import { keepEvidence } from '../../src/report/evidence.js';
import { failureReport, type Evidence } from '../../src/report/failure.js';
import { wireEvents } from '../../src/report/wire.js';
import { Context } from '../../src/scenario/context.js';
import { makePlan } from '../../src/scenario/plan.js';
import type { Result } from '../../src/scenario/runner.js';
import type { End } from '../../src/sides/end.js';
import type { OurEnd } from '../../src/sides/ourend.js';

const BEGAN = 1_800_000_000;
const FAILED: Result = {
  name: 'udp v6 psk: we dial',
  verdict: 'failed',
  seconds: 12.34,
  reason: 'pings: no answer\nmore of it',
  log: [
    { at: 10, side: 'both', text: 'interfaces', outcome: 'done' },
    { at: 2000, side: 'us', text: 'pings', outcome: 'FAILED: no answer\nmore of it' },
  ],
  kept: '/results/x',
};

const line = (type: string, at: number, from: string, more: object): string =>
  JSON.stringify({ type, time: `${BEGAN + at}.250000000`, t: at, from, to: '10.99.0.2:51820', ...more });
const message = (at: number, from: string, wg: object, inner?: object): string =>
  line('message', at, from, { length: 148, status: 'decrypted', wg, inner });
const LINES = [
  message(2, '[fd99::1]:51821', { type: 1 }),
  message(
    3,
    '10.99.0.2:51820',
    { type: 4, counter: 7 },
    { source: 'a', destination: 'b', protocol: 'icmp', info: 'x' },
  ),
  message(4, '10.99.0.12:51820', { type: 4, counter: 8, keepalive: true }),
  message(5, '192.0.2.1:1', { type: 4 }),
  line('connection', 6, '10.99.0.1:1', { event: 'opened' }),
  line('connection', 7, '10.99.0.1:1', { event: 'closing', by: 'acceptor', how: 'RST', connection: 2 }),
  '{"type":"summary"}',
  '{"cut',
].join('\n');

describe('wireEvents', () => {
  test.each([4, 6] as const)('what was sent is told by side, wherever it has moved to, over IPv%d', (family) => {
    expect(wireEvents(LINES, makePlan(0, 'tcp', family, false, freshKeys()))).toEqual([
      { at: BEGAN + 2.25, from: 'us', what: 'initiation, 148 bytes, decrypted', isMessage: true },
      { at: BEGAN + 3.25, from: 'kernel', what: 'data 7, 148 bytes, decrypted, a → b icmp x', isMessage: true },
      { at: BEGAN + 4.25, from: 'kernel', what: 'keepalive 8, 148 bytes, decrypted', isMessage: true },
      { at: BEGAN + 6.25, from: 'us', what: 'dials 10.99.0.2:51820', isMessage: false },
      { at: BEGAN + 7.25, from: 'kernel', what: 'resets connection 2', isMessage: false },
    ]);
  });

  test('addresses of IPv6 are known in every network', () => {
    for (const network of [0, 1, 2]) {
      const plan = makePlan(network, 'udp', 6, false, freshKeys());
      const text = message(1, `[${plan.kernel.spare[6]}]:51820`, { type: 2 });
      expect(wireEvents(text, plan).map(({ from }) => from)).toEqual(['kernel']);
    }
  });
});

describe('failureReport', () => {
  const events = wireEvents(LINES, makePlan(0, 'tcp', 4, false, freshKeys()));
  const evidence: Evidence = {
    began: BEGAN,
    booted: BEGAN - 100,
    wire: { us: events, kernel: events.filter(({ from }) => from === 'kernel') },
    states: { us: 'interface: ws0\noutside: fd99::2 FAILED\n', kernel: 'interface: wg0' },
    logs: { us: 'noise\n2027-01-15T08:00:01.500Z our line\n', kernel: '[  103.000000] its line\n' },
    decoded: '     0.500000 udp 1 → data\n',
    firstPacket: BEGAN + 2,
  };

  test('it says what each side did and sent last, and whether it reached the other', () => {
    const report = failureReport(FAILED, evidence);
    expect(report).toMatch(/^FAIL udp v6 psk: we dial, after 12\.3 s\n {2}pings: no answer\n {2}more of it\n/);
    expect(report).toContain('wirestream did last   2.0 s: pings → FAILED: no answer\n');
    expect(report).toContain('wirestream sent last  6.3 s: dials 10.99.0.2:51820\n');
    expect(report).toContain('wirestream was heard  not at all: of its 1 messages none reached the kernel\n');
    expect(report).toContain('the kernel did last   0.0 s: interfaces → done\n');
    expect(report).toContain('the kernel sent last  7.3 s: resets connection 2\n');
    expect(report).toContain('the kernel was heard  2 of its 2 messages reached wirestream\n');
    expect(report).toMatch(/state of wirestream\n {4}interface: ws0\n {4}outside: fd99::2 FAILED\n/);
    expect(report).toContain('/results/x');
  });

  test('logs and capture are on the clock of the steps', () => {
    const report = failureReport(FAILED, evidence);
    expect(report).toMatch(/ {2}steps\n +0\.01 s {2}both {4}interfaces: done\n +2\.00 s {2}us {6}pings: FAILED/);
    expect(report).toMatch(/log of wirestream, its end\n {4}noise\n +1\.50 s our line\n/);
    expect(report).toMatch(/log of the kernel, its end\n +3\.00 s its line\n/);
    expect(report).toMatch(/decoded, its end\n +2\.50 s {2}udp 1 → data\n/);
  });

  test('a side that sent nothing is told apart from one that was not heard', () => {
    const wire = { us: events.filter(({ from }) => from === 'kernel'), kernel: [] };
    const report = failureReport(FAILED, { ...evidence, wire });
    expect(report).toContain('wirestream was heard  it sent no message\n');
  });

  test('what is not known is not made up', () => {
    const bare: Evidence = {
      ...evidence,
      booted: null,
      wire: { us: null, kernel: null },
      states: { us: '', kernel: '' },
      logs: { us: '', kernel: '[  103.000000] its line\n' },
      firstPacket: null,
    };
    const report = failureReport({ ...FAILED, reason: null, log: [] }, bare);
    expect(report).toContain('wirestream did last   nothing\n');
    expect(report).toContain('the kernel sent last  not known: nothing was captured\n');
    expect(report).toContain('the kernel was heard  not known: one side has no capture\n');
    expect(report).toMatch(/log of wirestream, its end\n {4}\(empty\)/);
    expect(report).toContain('    [  103.000000] its line\n');
    expect(report).toContain('    0.500000 udp 1 → data\n'.trim());
  });
});

describe('keepEvidence', () => {
  const folder = mkdtempSync(join(tmpdir(), 'wirestream-evidence-'));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  const command = [process.execPath, fileURLToPath(new URL('../../../cli/bin/run.js', import.meta.url))];
  const fixture = (name: string): Buffer =>
    readFileSync(new URL(`../../../../fixtures/kernel/tcp-handshake-ping-v4.${name}`, import.meta.url));
  /** An end that was at A's place, or at B's, when the fixture was recorded. */
  const end = (side: 'us' | 'kernel', files: Record<string, Buffer>): End =>
    ({
      side,
      collect: async () => new Map(Object.entries(files)),
      shown: async () => `shown of ${side}\n`,
      sh: async (script: string) =>
        script === 'cat /proc/uptime' ? '50.5 1\n' : script.startsWith('ip route get') ? ' a\n  cache \n b\n' : 'all',
    }) as Partial<End> as End;
  const context = (us: End, kernel: End): Context =>
    new Context(makePlan(0, 'tcp', 4, false, freshKeys()), us as OurEnd, kernel);

  test('captures, logs and states of both ends are kept, and the report tells them', async () => {
    const kept = join(folder, 'a', 'b');
    const pcap = fixture('pcap');
    const us = end('us', { 'us-outer.pcap': pcap, 'us.keys': fixture('json'), 'us.log': Buffer.from('our line\n') });
    const kernel = end('kernel', { 'kernel-outer.pcap': pcap, 'kernel.log': Buffer.from('its line\n') });
    const evidence = await keepEvidence(kept, context(us, kernel), command, BEGAN);
    expect(readdirSync(kept).sort()).toEqual(
      'decoded.txt kernel-outer.pcap kernel-state.txt kernel.log us-outer.pcap us-state.txt us.keys us.log'.split(' '),
    );
    expect(readFileSync(join(kept, 'kernel-state.txt'), 'utf8')).toBe('shown of kernel\n\nall');
    expect(readFileSync(join(kept, 'decoded.txt'), 'utf8')).toContain('icmp echo request');
    expect(evidence.wire.us!.length).toBeGreaterThan(60);
    expect(evidence.wire.kernel).toEqual(evidence.wire.us);
    const report = failureReport(FAILED, evidence);
    expect(report).toMatch(/wirestream sent last {2}-?[\d.]+ s: closes connection 0\n/);
    expect(report).toMatch(/the kernel was heard {2}(\d+) of its \1 messages reached wirestream\n/);
    expect(report).toMatch(/state of the kernel\n {4}shown of kernel\n {4}outside: a\n {4}outside: b\n\n/);
    expect(report).toContain('    our line\n');
    expect(report).toContain('    its line\n');
  });

  test('an end that does not answer any more does not hide the other one', async () => {
    const kept = join(folder, 'c');
    const gone: End = {
      ...end('kernel', {}),
      collect: async () => Promise.reject(new Error('the virtual machine ended')),
      sh: async () => Promise.reject(new Error('the virtual machine ended')),
      shown: async () => Promise.reject(new Error('the virtual machine ended')),
    };
    const evidence = await keepEvidence(kept, context(end('us', { 'us.log': Buffer.from('x') }), gone), command, 0);
    expect(evidence).toMatchObject({ booted: null, wire: { us: null, kernel: null }, logs: { us: 'x' } });
    expect(readFileSync(join(kept, 'kernel.missing'), 'utf8')).toBe('the virtual machine ended');
    expect(existsSync(join(kept, 'us.log'))).toBe(true);
  });
});
