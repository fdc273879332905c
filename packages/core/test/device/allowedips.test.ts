import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { formatPrefix, maskBits, parseIp, parsePrefix } from '../../src/address/ip.js';
import type { Prefix } from '../../src/address/ip.js';
import { AllowedIps } from '../../src/device/allowedips.js';

const prefix = (text: string) => parsePrefix(text)!;

function lookup<T>(table: AllowedIps<T>, address: Uint8Array): T | null {
  if (address.length === 16) return table.lookup6(Uint8Array.from([1, 2, 3, ...address, 4]), 3);
  const [a, b, c, d] = address as unknown as [number, number, number, number];
  const signed = (a << 24) | (b << 16) | (c << 8) | d;
  const owner = table.lookup4(signed);
  expect(table.lookup4(signed >>> 0)).toBe(owner);
  return owner;
}
const at = <T>(table: AllowedIps<T>, text: string) => lookup(table, parseIp(text)!);

// The tables of the kernel's selftest/allowedips.c.
describe('as the kernel checks it', () => {
  const table = new AllowedIps<string>();
  for (const [text, owner] of [
    ['192.168.4.0/24', 'a'],
    ['192.168.4.4/32', 'b'],
    ['192.168.0.0/16', 'c'],
    ['192.95.5.64/27', 'd'],
    ['192.95.5.65/27', 'c'],
    ['2607:5300:6000:6b00::c05f:543/128', 'd'],
    ['2607:5300:6000:6b00::/64', 'c'],
    ['0.0.0.0/0', 'e'],
    ['::/0', 'e'],
    ['::/0', 'f'],
    ['2404:6800::/32', 'g'],
    ['2404:6800:4004:800:dead:beef:dead:beef/64', 'h'],
    ['2404:6800:4004:800:dead:beef:dead:beef/128', 'a'],
    ['2444:6800:40e4:800:deae:beef:def:beef/128', 'c'],
    ['2444:6800:f0e4:800:eeae:beef::/98', 'b'],
    ['64.15.112.0/20', 'g'],
    ['64.15.123.211/25', 'h'],
    ['10.0.0.0/25', 'a'],
    ['10.0.0.128/25', 'b'],
    ['10.1.0.0/30', 'a'],
    ['10.1.0.4/30', 'b'],
    ['10.1.0.8/29', 'c'],
    ['10.1.0.16/29', 'd'],
  ] as const) {
    // host bits are there on purpose: insert clears them itself
    const [address, length] = text.split('/');
    table.insert({ bytes: parseIp(address!)!, length: Number(length) }, owner);
  }

  test.each([
    ['192.168.4.20', 'a'],
    ['192.168.4.0', 'a'],
    ['192.168.4.4', 'b'],
    ['192.168.200.182', 'c'],
    ['192.95.5.68', 'c'],
    ['192.95.5.96', 'e'],
    ['2607:5300:6000:6b00::c05f:543', 'd'],
    ['2607:5300:6000:6b00::c02e:1ee', 'c'],
    ['2607:5300:6000:6b01::', 'f'],
    ['2404:6800:4004:806::1006', 'g'],
    ['2404:6800:4004:806:0:1234:0:5678', 'g'],
    ['2404:67ff:4004:806:0:1234:0:5678', 'f'],
    ['2404:6801:4004:806:0:1234:0:5678', 'f'],
    ['2404:6800:4004:800:0:1234:0:5678', 'h'],
    ['2404:6800:4004:800::', 'h'],
    ['2404:6800:4004:800:1010:1010:1010:1010', 'h'],
    ['2404:6800:4004:800:dead:beef:dead:beef', 'a'],
    ['64.15.116.26', 'g'],
    ['64.15.127.3', 'g'],
    ['64.15.123.1', 'g'],
    ['64.15.123.128', 'h'],
    ['64.15.123.129', 'h'],
    ['10.0.0.52', 'a'],
    ['10.0.0.220', 'b'],
    ['10.1.0.2', 'a'],
    ['10.1.0.6', 'b'],
    ['10.1.0.10', 'c'],
    ['10.1.0.20', 'd'],
  ])('%s belongs to %s', (address, owner) => {
    expect(at(table, address)).toBe(owner);
  });

  test('what is removed is gone', () => {
    const hosts = ['1.0.0.0', '64.0.0.0', '128.0.0.0', '192.0.0.0', '255.0.0.0'];
    for (const host of hosts) table.insert(prefix(host), 'a');
    for (const host of hosts) expect(at(table, host)).toBe('a');
    table.removeAll('a');
    for (const host of hosts) expect(at(table, host)).toBe('e');
    expect(table.list('a')).toEqual([]);
    table.clear();
    expect([table.size, at(table, '192.168.4.20')]).toEqual([0, null]);
    table.insert(prefix('192.168.0.0/16'), 'a');
    table.insert(prefix('192.168.0.0/24'), 'a');
    table.removeAll('a');
    expect(at(table, '192.168.0.1')).toBeNull();
  });

  test('a trie as deep as an address has bits', () => {
    const deep = new AllowedIps<number>();
    for (let i = 0; i < 128; i++) {
      const bytes = new Uint8Array(16).fill(0xff);
      bytes[i >> 3]! ^= 0x80 >> (i & 7);
      deep.insert({ bytes, length: 128 }, i);
      expect(lookup(deep, bytes)).toBe(i);
    }
    for (let i = 0; i < 128; i++) deep.removeAll(i);
    expect([deep.size, deep.nodes]).toEqual([0, 0]);
  });

  test('the list is what was put in, masked, in that order', () => {
    const list = new AllowedIps<string>();
    for (const text of [
      '192.95.5.93/27',
      '2607:5300:6000:6b00::c05f:543/128',
      '10.1.0.20/29',
      '2607:5300:6d8a:6bf8:dab1:f1df:c05f:1523/83',
      '2607:5300:6d8a:6bf8:dab1:f1df:c05f:1523/21',
    ]) {
      const [address, length] = text.split('/');
      list.insert({ bytes: parseIp(address!)!, length: Number(length) }, 'a');
    }
    expect(list.list('a').map(formatPrefix)).toEqual([
      '192.95.5.64/27',
      '2607:5300:6000:6b00::c05f:543/128',
      '10.1.0.16/29',
      '2607:5300:6d8a:6bf8:dab1:e000::/83',
      '2607:5000::/21',
    ]);
  });
});

test.each(['10.99.170.5', '2001:db8:8d3:1319:8a2e:370:7348:aaaa'])(
  'each bit of a prefix of %s counts, and no other',
  (text) => {
    const address = parseIp(text)!;
    const flipped = (bit: number) => address.map((byte, i) => (i === bit >> 3 ? byte ^ (0x80 >> (bit & 7)) : byte));
    const bits = address.length * 8;
    for (let length = 0; length <= bits; length++) {
      const table = new AllowedIps<string>();
      table.insert({ bytes: address, length }, 'it');
      for (let bit = 0; bit < bits; bit++) expect(lookup(table, flipped(bit))).toBe(bit < length ? null : 'it');
    }
  },
);

describe('ownership', () => {
  test('moves with the last insert, which also moves it to the end of the list', () => {
    const table = new AllowedIps<string>();
    for (const text of ['10.0.0.0/8', '10.1.0.0/16', 'fd00::/8']) table.insert(prefix(text), 'a');
    table.insert(prefix('10.0.0.0/8'), 'a');
    expect(table.list('a').map(formatPrefix)).toEqual(['10.1.0.0/16', 'fd00::/8', '10.0.0.0/8']);
    table.insert(prefix('10.1.0.0/16'), 'b');
    expect(table.list('a').map(formatPrefix)).toEqual(['fd00::/8', '10.0.0.0/8']);
    expect(table.list('b').map(formatPrefix)).toEqual(['10.1.0.0/16']);
    expect([at(table, '10.1.2.3'), at(table, '10.2.2.3'), table.size]).toEqual(['b', 'a', 3]);
  });

  test('remove takes exactly one prefix, and only from its owner', () => {
    const table = new AllowedIps<string>();
    table.insert(prefix('10.0.0.0/8'), 'a');
    table.insert(prefix('10.1.0.0/16'), 'b');
    expect(table.remove(prefix('10.1.0.0/16'), 'a')).toBe(false);
    expect(table.remove(prefix('10.0.0.0/9'), 'a')).toBe(false);
    expect(table.remove(prefix('10.1.0.0/24'), 'b')).toBe(false);
    expect(at(table, '10.1.0.1')).toBe('b');
    expect(table.remove({ bytes: parseIp('10.1.2.3')!, length: 16 }, 'b')).toBe(true);
    expect(at(table, '10.1.0.1')).toBe('a');
    expect(table.remove(prefix('10.1.0.0/16'), 'b')).toBe(false);
  });

  test('a list is a copy', () => {
    const table = new AllowedIps<string>();
    table.insert(prefix('10.0.0.0/8'), 'a');
    table.list('a')[0]!.bytes.fill(0);
    expect(at(table, '10.0.0.1')).toBe('a');
  });
});

describe('addresses in packets', () => {
  const table = new AllowedIps<string>();
  for (const [text, owner] of [
    ['10.0.0.1/32', 'source4'],
    ['255.0.0.2/32', 'destination4'],
    ['fd00::1/128', 'source6'],
    ['fd00::2/128', 'destination6'],
  ] as const) {
    table.insert(prefix(text), owner);
  }
  const packet4 = new Uint8Array(30);
  packet4.set([0x45], 5);
  packet4.set([10, 0, 0, 1, 255, 0, 0, 2], 5 + 12);
  const packet6 = new Uint8Array(50);
  packet6.set([0x60], 5);
  packet6.set([...parseIp('fd00::1')!, ...parseIp('fd00::2')!], 5 + 8);

  test('are found, and belong to the right one', () => {
    expect(table.lookupSource(packet4, 5, 20)).toBe('source4');
    expect(table.lookupDestination(packet4, 5, 20)).toBe('destination4');
    expect(table.lookupSource(packet6, 5, 40)).toBe('source6');
    expect(table.lookupDestination(packet6, 5, 40)).toBe('destination6');
  });

  test('are not looked for where they cannot be', () => {
    for (let length = 0; length < 20; length++) {
      expect(table.lookupSource(packet4, 5, length)).toBeNull();
      expect(table.lookupDestination(packet4, 5, length)).toBeNull();
    }
    for (let length = 0; length < 40; length++) {
      expect(table.lookupSource(packet6, 5, length)).toBeNull();
      expect(table.lookupDestination(packet6, 5, length)).toBeNull();
    }
    for (let version = 0; version < 16; version++) {
      if (version === 4 || version === 6) continue;
      const other = packet6.slice();
      other[5] = version << 4;
      expect([table.lookupSource(other, 5, 40), table.lookupDestination(other, 5, 40)]).toEqual([null, null]);
    }
  });
});

/** The obvious twin: a list of prefixes, searched for the longest that matches. */
class SlowTable {
  entries: { prefix: Prefix; owner: number }[] = [];
  insert(p: Prefix, owner: number): void {
    const masked = { bytes: maskBits(p.bytes, p.length), length: p.length };
    this.entries = this.entries.filter((e) => !same(e.prefix, masked));
    this.entries.push({ prefix: masked, owner });
  }
  remove(p: Prefix, owner: number): boolean {
    const masked = { bytes: maskBits(p.bytes, p.length), length: p.length };
    const before = this.entries.length;
    this.entries = this.entries.filter((e) => e.owner !== owner || !same(e.prefix, masked));
    return this.entries.length < before;
  }
  lookup(address: Uint8Array): number | null {
    let best: { prefix: Prefix; owner: number } | null = null;
    for (const e of this.entries) {
      const { bytes, length } = e.prefix;
      if (bytes.length !== address.length || !same({ bytes: maskBits(address, length), length }, e.prefix)) continue;
      if (best === null || length > best.prefix.length) best = e;
    }
    return best?.owner ?? null;
  }
}
const same = (a: Prefix, b: Prefix) => a.length === b.length && formatPrefix(a) === formatPrefix(b);

test('equals a list, whatever is inserted and removed', () => {
  // Few different bits, so that prefixes nest, meet and part; owner 0 must work like any other.
  const narrow = (n: number) => fc.uint8Array({ minLength: n, maxLength: n }).map((b) => b.map((x) => x & 0x81));
  const bytes = fc.oneof(
    narrow(4),
    narrow(16),
    fc.uint8Array({ minLength: 4, maxLength: 4 }),
    fc.uint8Array({ minLength: 16, maxLength: 16 }),
  );
  const somePrefix = fc.tuple(bytes, fc.nat(128)).map(([b, n]) => ({ bytes: b, length: n % (b.length * 8 + 1) }));
  const step = fc.tuple(fc.constantFrom('insert', 'insert', 'insert', 'remove', 'removeAll'), somePrefix, fc.nat(4));
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), fc.array(bytes, { maxLength: 40 }), (steps, addresses) => {
      const table = new AllowedIps<number>();
      const slow = new SlowTable();
      for (const [what, p, owner] of steps) {
        if (what === 'insert') {
          table.insert(p, owner);
          slow.insert(p, owner);
        } else if (what === 'remove') {
          const known = slow.entries[owner * 7]?.prefix ?? p;
          expect(table.remove(known, owner)).toBe(slow.remove(known, owner));
        } else {
          table.removeAll(owner);
          slow.entries = slow.entries.filter((e) => e.owner !== owner);
        }
        for (const address of [p.bytes, ...addresses.slice(0, 3)]) {
          expect(lookup(table, address)).toBe(slow.lookup(address));
        }
      }
      for (const address of addresses) expect(lookup(table, address)).toBe(slow.lookup(address));
      for (const owner of [0, 1, 2, 3, 4]) {
        const expected = slow.entries.filter((e) => e.owner === owner).map((e) => formatPrefix(e.prefix));
        expect(table.list(owner).map(formatPrefix)).toEqual(expected);
      }
      expect(table.size).toBe(slow.entries.length);
      expect(table.nodes).toBeLessThanOrEqual(Math.max(0, 2 * table.size - 1));
    }),
    { numRuns: 300 },
  );
});
