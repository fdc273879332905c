import { describe, expect, test } from '@jest/globals';
import { freshKeys } from '../../src/keys.js';
import { lacksTcp } from '../../src/lab.js';
import { makePlan, type Transport } from '../../src/scenario/plan.js';
import { KernelEnd, newLines } from '../../src/sides/kernelend.js';
import { parseDump } from '../../src/sides/end.js';
import type { Shell } from '../../src/sides/shell.js';

/** A shell that keeps what it is given, and answers as told. */
function shellOf(answer: (script: string) => string | null = () => ''): Shell & { scripts: string[] } {
  const scripts: string[] = [];
  return {
    scripts,
    run: async (script) => {
      scripts.push(script);
      const text = answer(script);
      return { status: text === null ? 1 : 0, bytes: Buffer.from(text ?? 'Unable to modify') };
    },
  };
}

function endOf(transport: Transport, shell: Shell): KernelEnd {
  const plan = makePlan(1, transport, 4, true, freshKeys());
  return new KernelEnd(shell, plan, { messages: 'dmesg', device: 'eth0', folder: '/tmp' });
}

describe('KernelEnd', () => {
  test('over TCP, transport is chosen before the link is up', async () => {
    const shell = shellOf();
    await endOf('tcp', shell).up();
    const lines = shell.scripts.at(-1)!.split('\n');
    const at = (text: string): number => lines.findIndex((line) => line.includes(text));
    expect(at('ip link add wg1 type wireguard')).toBeGreaterThan(0);
    expect(at('wg set wg1 transport tcp')).toBe(at('ip link add wg1 type wireguard') + 1);
    expect(at(' up')).toBe(lines.length - 1);
    expect(at('wg set wg1 private-key /tmp/wg1.key listen-port 51822')).toBeGreaterThan(0);
    // Who is given the other's endpoint is said later.
    expect(shell.scripts.at(-1)).not.toContain('endpoint');
  });

  test('over UDP, a wg without that word will do', async () => {
    const shell = shellOf();
    await endOf('udp', shell).up();
    expect(shell.scripts.join()).not.toContain('transport');
  });

  test('what a program says of its failure is in the error', async () => {
    const end = endOf(
      'udp',
      shellOf(() => null),
    );
    await expect(end.setEndpoint('10.99.1.1:51823')).rejects.toThrow(/wg set wg1 .*failed \(1\): Unable to modify/);
  });
});

test('a module without TCP is known by what wg says; the link of the trial goes in either case', async () => {
  expect(await lacksTcp(shellOf())).toBeNull();
  const shell = shellOf(() => null);
  expect(await lacksTcp(shell)).toContain('(wg set transport tcp: Unable to modify); --module and --wg');
  expect(shell.scripts[0]).toMatch(/ip link del wgprobe; exit \$s$/);
});

test('of a log that grows, the new lines are taken; all of it when its beginning has been lost', () => {
  expect(newLines('a\nb\n', 'a\nb\nc\n')).toBe('c\n');
  expect(newLines('', 'a\n')).toBe('a\n');
  expect(newLines('x\ny\n', 'b\nc\n')).toBe('b\nc\n');
});

test('one peer is read from a dump, whatever columns come to it', () => {
  const line = 'KEY\tPSK\t[fd99::2]:51820\t10.77.0.2/32\t1795248354\t26524\t26728\toff\ttcp';
  expect(parseDump(`PRIVATE\tPUBLIC\t51821\toff\ttcp\n${line}\n`)).toEqual({
    endpoint: '[fd99::2]:51820',
    allowedIps: '10.77.0.2/32',
    latestHandshake: 1795248354,
    rx: 26524,
    tx: 26728,
    keepalive: 'off',
  });
  expect(() => parseDump('PRIVATE\tPUBLIC\t51821\toff\n')).toThrow('one peer was expected');
});
