import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { parseConfig } from '@wirestream/core/config/parse';
import { setDns } from '../../src/network/dns.js';
import { Journal, readState, removeState, type TunnelState } from '../../src/network/journal.js';
import { addDefault, chooseTable } from '../../src/network/policy.js';
import { runHooks, undoNetwork } from '../../src/network/teardown.js';
import { FakeShell } from '../support/fakeshell.js';

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'ws-policy-'));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const iface = (text: string) =>
  parseConfig(`[Interface]\n${text}`, { file: 'x', requirePrivateKey: false }).config.interface;
const paths = () => ({ runDir: dir, uapiDir: dir });
const state = (more: Partial<TunnelState> = {}): TunnelState => ({
  name: 'wg0',
  configPath: '/x/wg0.conf',
  pid: 1,
  started: '1',
  iface: iface(''),
  undo: [],
  ...more,
});

describe('everything through the tunnel', () => {
  test('a table of its own, the first that is empty', async () => {
    const shell = new FakeShell();
    shell.answers = {
      'ip -4 route show table 51820': 'default dev wg1\n',
      'ip -6 route show table 51820': '',
      'ip -4 route show table 51821': '',
      'ip -6 route show table 51821': 'default dev wg2\n',
    };
    expect(await chooseTable(undefined, shell)).toBe(51822);
    expect(await chooseTable(0, shell)).toBe(51822);
    expect(await chooseTable(77, shell)).toBe(77);
  });

  test('route, firewall for TCP and UDP, rules; and all of it back, the last first', async () => {
    const shell = new FakeShell();
    const journal = new Journal(paths(), state());
    await addDefault('-4', 'wg0', 51820, iface('Address=10.0.0.1/24, fd00::1/64'), shell, journal);
    expect(shell.done).toEqual([
      'ip -4 route add 0.0.0.0/0 dev wg0 table 51820',
      'nft -f -',
      'ip -4 rule add not fwmark 51820 table 51820',
      'ip -4 rule add table main suppress_prefixlength 0',
      'sysctl -q -w net.ipv4.conf.all.src_valid_mark=1',
    ]);
    const [script] = shell.inputs;
    expect(script).toContain('preraw iifname != "wg0" ip daddr 10.0.0.1 fib saddr type != local drop');
    expect(script).not.toContain('fd00::1');
    expect(script).toContain('postmangle meta l4proto { tcp, udp } meta mark 51820 ct mark set meta mark');
    expect(script).toContain('premangle meta l4proto { tcp, udp } ct mark 51820 meta mark set ct mark');

    shell.done.length = 0;
    await undoNetwork(readState(paths(), 'wg0')!, shell);
    expect(shell.done).toEqual([
      'ip -4 rule delete table main suppress_prefixlength 0',
      'ip -4 rule delete not fwmark 51820 table 51820',
      'nft delete table ip wirestream-wg0',
    ]);
  });

  test('IPv6 the same way', async () => {
    const shell = new FakeShell();
    await addDefault('-6', 'wg0', 7, iface('Address=10.0.0.1/24, fd00::1/64'), shell, new Journal(paths(), state()));
    expect(shell.done).not.toContain('sysctl -q -w net.ipv4.conf.all.src_valid_mark=1');
    expect(shell.done[0]).toBe('ip -6 route add ::/0 dev wg0 table 7');
    expect(shell.inputs[0]).toContain('ip6 daddr fd00::1 fib');
  });

  test('with iptables where there is no nft, and a warning where there is neither', async () => {
    const shell = new FakeShell();
    shell.programs = ['iptables-restore'];
    const journal = new Journal(paths(), state());
    await addDefault('-4', 'wg0', 7, iface('Address=10.0.0.1/24'), shell, journal);
    expect(shell.done).toContain('iptables-restore -n');
    expect(shell.inputs[0]).toContain('-I PREROUTING -p tcp -m connmark --mark 7 -j CONNMARK --restore-mark');
    shell.inputs.length = 0;
    await undoNetwork(journal.state, shell);
    expect(shell.inputs[0]).toContain('-D PREROUTING -p udp -m connmark --mark 7 -j CONNMARK --restore-mark');

    shell.programs = [];
    await addDefault('-4', 'wg0', 7, iface(''), shell, new Journal(paths(), state()));
    expect(shell.said.join()).toMatch(/neither nft nor iptables/);
  });

  test('what could not be done is undone all the same: the journal is ahead', async () => {
    const shell = new FakeShell();
    shell.failing = ['rule add not fwmark'];
    const journal = new Journal(paths(), state());
    await expect(addDefault('-4', 'wg0', 7, iface(''), shell, journal)).rejects.toMatchObject({
      code: 'command-failed',
    });
    shell.failing = ['rule delete'];
    shell.done.length = 0;
    await undoNetwork(readState(paths(), 'wg0')!, shell);
    expect(shell.done).toEqual(['ip -4 rule delete not fwmark 7 table 7', 'nft delete table ip wirestream-wg0']);
    expect(shell.said).toEqual(['warning: ip -4 rule delete not fwmark 7 table 7: no']);
  });
});

describe('name servers', () => {
  test('by resolvconf, and back', async () => {
    const shell = new FakeShell();
    const journal = new Journal(paths(), state());
    await setDns('wg0', iface('DNS=10.0.0.53, corp.example, fd00::53, example'), shell, journal);
    expect(shell.done).toEqual([expect.stringMatching(/^resolvconf -a (\w+\.)?wg0 -m 0 -x$/)]);
    expect(shell.inputs).toEqual(['nameserver 10.0.0.53\nnameserver fd00::53\nsearch corp.example example\n']);
    await undoNetwork(journal.state, shell);
    expect(shell.done[1]).toMatch(/^resolvconf -d (\w+\.)?wg0 -f$/);
  });

  test('a warning where there is no resolvconf, and nothing at all where none are wanted', async () => {
    const shell = new FakeShell();
    shell.programs = [];
    const journal = new Journal(paths(), state());
    await setDns('wg0', iface(''), shell, journal);
    expect(shell.said).toEqual([]);
    await setDns('wg0', iface('DNS=10.0.0.53'), shell, journal);
    expect(shell.said).toEqual([expect.stringMatching(/^warning: DNS = 10\.0\.0\.53 is not set/)]);
    expect(shell.done).toEqual([]);
    expect(journal.state.undo).toEqual([]);
  });
});

describe('the journal', () => {
  test('is read back as it was written, by its owner only', async () => {
    const { statSync } = await import('node:fs');
    const journal = new Journal(paths(), state({ iface: iface('Address=10.0.0.1/24\nPostDown=echo %i') }));
    journal.add({ argv: ['a', 'b'], input: 'c' });
    journal.add({ argv: ['d'] });
    expect(readState(paths(), 'wg0')).toEqual(journal.state);
    expect(statSync(join(dir, 'wg0.json')).mode & 0o777).toBe(0o600);
    removeState(paths(), 'wg0');
    expect(readState(paths(), 'wg0')).toBeNull();
  });

  test('one that is damaged is an error that names the file', async () => {
    const { writeFileSync } = await import('node:fs');
    writeFileSync(join(dir, 'wg0.json'), '{');
    expect(() => readState(paths(), 'wg0')).toThrow(expect.objectContaining({ code: 'bad-state' }));
  });
});

test('a hook that fails does not keep the next from running', async () => {
  const shell = new FakeShell();
  shell.failing = ['one'];
  await runHooks('PostDown', ['one %i', 'two %i%i'], state(), shell);
  expect(shell.done).toEqual(['PostDown: one wg0', 'PostDown: two wg0wg0']);
  expect(shell.said).toHaveLength(1);
});
