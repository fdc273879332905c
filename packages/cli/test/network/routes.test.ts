import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { formatPrefix, maskBits, parsePrefix } from '@wirestream/core/address/ip';
import { parseConfig } from '@wirestream/core/config/parse';
import { parseInterfaceAddress } from '@wirestream/core/config/values';
import { isCovered, needsPolicy, routesOf, tableNumber } from '../../src/network/routes.js';

const KEYS = ['AQ', 'AC', 'AD'].map((text) => `${text}AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=`);
function config(iface: string, ...allowed: string[]) {
  const peers = allowed.map((ips, i) => `[Peer]\nPublicKey=${KEYS[i]}\nAllowedIPs=${ips}\n`).join('');
  return parseConfig(`[Interface]\n${iface}\n${peers}`, { file: 'x', requirePrivateKey: false }).config;
}

describe('routes', () => {
  test('the most specific first, each once', () => {
    const routes = routesOf(config('', '10.0.0.0/8, ::/0, 10.1.0.0/16', '10.1.2.3/32, 10.0.0.0/8, fd00::/64'));
    expect(routes.map(formatPrefix)).toEqual(['fd00::/64', '10.1.2.3/32', '10.1.0.0/16', '10.0.0.0/8', '::/0']);
  });

  test('none when the table is off; policy only where the table is left to us', () => {
    expect(routesOf(config('Table=off', '0.0.0.0/0'))).toEqual([]);
    expect(needsPolicy(config('Table=off', '0.0.0.0/0'))).toBe(false);
    expect(needsPolicy(config('Table=7', '0.0.0.0/0'))).toBe(false);
    expect(needsPolicy(config('Table=auto', '0.0.0.0/0'))).toBe(true);
    expect(needsPolicy(config('', '::/0'))).toBe(true);
    expect(needsPolicy(config('', '128.0.0.0/1, 0.0.0.0/1'))).toBe(false);
  });

  test.each([
    ['10.0.0.2/32', '10.0.0.1/24', true],
    ['10.0.0.0/24', '10.0.0.1/24', true],
    ['10.0.0.0/23', '10.0.0.1/24', false],
    ['10.0.1.0/24', '10.0.0.1/24', false],
    ['10.0.0.128/25', '10.0.0.1/25', false],
    ['10.0.0.2/32', '10.0.0.1', false],
    ['fd00::7/128', 'fd00::1/64', true],
    ['0.0.0.0/0', 'fd00::1/0', false],
  ])('%s behind the address %s: covered %s', (route, address, covered) => {
    expect(isCovered(parsePrefix(route)!, [parseInterfaceAddress(address)!])).toBe(covered);
  });

  test('covered is: shortened to the length of the network, both are the same', () => {
    const bytes = fc.uint8Array({ minLength: 4, maxLength: 4, max: 3 });
    const length = fc.integer({ min: 0, max: 32 });
    fc.assert(
      fc.property(bytes, length, bytes, length, (a, m, b, n) => {
        const same = Buffer.compare(maskBits(a, n), maskBits(b, n)) === 0;
        expect(isCovered({ bytes: maskBits(a, m), length: m }, [{ bytes: b, length: n }])).toBe(m >= n && same);
      }),
    );
  });

  test('tables by name', () => {
    const dir = mkdtempSync(join(tmpdir(), 'ws-rt-'));
    const file = join(dir, 'rt_tables');
    writeFileSync(file, '# reserved\n255\tlocal\n7 office # ours\n');
    expect(tableNumber('12', [])).toBe(12);
    expect(tableNumber('main', [])).toBe(254);
    expect(tableNumber('office', [join(dir, 'none'), file])).toBe(7);
    expect(() => tableNumber('home', [file])).toThrow(expect.objectContaining({ code: 'unknown-table' }));
    rmSync(dir, { recursive: true });
  });
});
