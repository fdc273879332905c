import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from '@jest/globals';
import {
  extcapConfig,
  extcapDlts,
  extcapInterfaces,
  installExtcap,
  parseExtcap,
  shimText,
} from '../../src/capture/extcap.js';

const folder = mkdtempSync(join(tmpdir(), 'ws-extcap-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe('what Wireshark asks', () => {
  test.each([
    [['--extcap-interfaces', '--extcap-version=4.2'], { ask: 'interfaces' }],
    [['--extcap-interface', 'wirestream-wg0', '--extcap-dlts'], { ask: 'dlts', interface: 'wirestream-wg0' }],
    [['--extcap-config', '--extcap-interface', 'wirestream-wg0'], { ask: 'config', interface: 'wirestream-wg0' }],
    [
      ['--capture', '--extcap-interface', 'wirestream-wg0', '--fifo', '/tmp/f', '--packets', 'both'],
      { ask: 'capture', argv: ['wg0', '-w', '/tmp/f'] },
    ],
    [
      [
        '--capture',
        '--extcap-interface',
        'wirestream-wg0',
        '--fifo',
        '/tmp/f',
        '--packets',
        'inner',
        '--keys',
        'true',
        '--peer',
        'abc',
      ],
      { ask: 'capture', argv: ['wg0', '-w', '/tmp/f', '--inner', '--keys', '--peer', 'abc'] },
    ],
    [
      ['--capture', '--extcap-interface', 'wirestream-wg0', '--fifo', '/tmp/f', '--packets', 'outer', '--records'],
      { ask: 'capture', argv: ['wg0', '-w', '/tmp/f', '--outer', '--records'] },
    ],
    [
      ['--capture', '--extcap-interface', 'wirestream-wire', '--fifo=/tmp/f', '--device', 'eth0', '--port', '443'],
      { ask: 'capture', argv: ['--interface', 'eth0', '--port', '443', '-w', '/tmp/f'] },
    ],
    [['--capture', '--extcap-interface', 'other', '--fifo', '/tmp/f'], { ask: 'nothing' }],
    [['--something-new'], { ask: 'nothing' }],
  ])('%j', (argv, request) => {
    expect(parseExtcap(argv)).toEqual(request);
  });

  test('and what it hears keeps to the form that it reads', () => {
    const lines = [
      ...extcapInterfaces('1.2.3', ['wg0', 'office']),
      ...extcapDlts(),
      ...extcapConfig('wirestream-wg0'),
      ...extcapConfig('wirestream-wire'),
    ];
    for (const line of lines) expect(line).toMatch(/^(extcap|interface|dlt|arg|value) (\{[a-z]+=[^{}]*\})+$/);
    expect(lines).toContain('interface {value=wirestream-office}{display=wirestream tunnel office}');
  });
});

describe('the program that Wireshark starts', () => {
  test('answers what never changes by itself, and passes everything else on', () => {
    const shim = shimText('/bin/echo', "/it's/here");
    const ask = (...args: string[]) =>
      execFileSync('sh', ['-c', shim, 'shim', ...args], { encoding: 'utf8' })
        .trimEnd()
        .split('\n');
    expect(ask('--extcap-interface', 'wirestream-wg0', '--extcap-dlts')).toEqual(extcapDlts());
    expect(ask('--extcap-config', '--extcap-interface', 'wirestream-wire')).toEqual(extcapConfig('wirestream-wire'));
    expect(ask('--extcap-interface', 'wirestream-wg0', '--extcap-config')).toEqual(extcapConfig('wirestream-wg0'));
    expect(ask('--extcap-interfaces')).toEqual(["/it's/here extcap --extcap-interfaces"]);
    expect(ask('--capture', '--fifo', 'a b')).toEqual(["/it's/here extcap --capture --fifo a b"]);
  });

  test('is installed beside the dissector', () => {
    const directory = join(folder, 'new');
    expect(installExtcap(directory)).toEqual([
      `extcap program: ${directory}/wirestream`,
      `dissector: ${directory}/wirestream.lua`,
    ]);
    expect(statSync(join(directory, 'wirestream')).mode & 0o111).toBe(0o111);
    expect(() => installExtcap('/dev/null/nowhere')).toThrow(expect.objectContaining({ code: 'file-unreadable' }));
    expect(() => installExtcap('/dev/null')).toThrow(
      expect.objectContaining({ message: '/dev/null: is no directory' }),
    );
  });
});
