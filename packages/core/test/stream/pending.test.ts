import { describe, expect, test } from '@jest/globals';
import { parseEndpoint } from '../../src/address/endpoint.js';
import type { Driver } from '../../src/device/driver.js';
import { Connection } from '../../src/stream/connection.js';
import { PendingList } from '../../src/stream/pending.js';
import { SlabPool } from '../../src/slab/pool.js';

const driver = { slabs: new SlabPool(4096) } as unknown as Driver;
let lastId = 0;
const from = (text: string) => parseEndpoint(text)!;
const accept = (list: PendingList, now: number, text: string) => {
  if (!list.admits(now, from(text))) return null;
  const connection = new Connection(++lastId, 'inbound', from(text), driver, now);
  return { connection, evicted: list.add(now, connection) };
};
/** A different IPv4 source for each n. */
const source = (n: number) => `10.0.${n >> 8}.${n & 255}:1000`;

describe('pending list', () => {
  test('eight places per source, and the ninth is refused until one is free', () => {
    const list = new PendingList();
    const first = accept(list, 0, '192.0.2.1:1')!;
    for (let port = 2; port <= 8; port++) expect(accept(list, 0, `192.0.2.1:${port}`)).not.toBeNull();
    expect(accept(list, 0, '192.0.2.1:9')).toBeNull();
    expect(accept(list, 0, '192.0.2.2:9')).not.toBeNull();
    list.remove(first.connection);
    expect(accept(list, 0, '192.0.2.1:10')).not.toBeNull();
    expect(list.snapshot().refusals['source-full']).toBe(1);
  });

  test('an IPv6 /64 is one source', () => {
    const list = new PendingList();
    for (let i = 1; i <= 8; i++) expect(accept(list, 0, `[2001:db8::${i}]:1`)).not.toBeNull();
    expect(accept(list, 0, '[2001:db8::99]:1')).toBeNull();
    expect(accept(list, 0, '[2001:db8:0:1::1]:1')).not.toBeNull();
  });

  test('32 accepts per second and source, those refused included', () => {
    const list = new PendingList();
    let accepted = 0;
    for (let i = 0; i < 40; i++) {
      const got = accept(list, 0, '192.0.2.1:1');
      if (got === null) continue;
      accepted++;
      list.remove(got.connection);
    }
    expect(accepted).toBe(32);
    expect(list.snapshot().refusals['source-rate']).toBe(8);
    expect(accept(list, 31, '192.0.2.1:1')).toBeNull();
    expect(accept(list, 63, '192.0.2.1:1')).not.toBeNull();
  });

  test('128 places in all; the oldest makes room', () => {
    const list = new PendingList();
    const first = accept(list, 0, source(0))!;
    for (let n = 1; n < 128; n++) expect(accept(list, 0, source(n))!.evicted).toBeNull();
    expect(accept(list, 1, source(128))!.evicted).toBe(first.connection);
    expect(list.size).toBe(128);
    expect(list.snapshot().refusals.evicted).toBe(1);
  });

  test('5 s of silence, or 30 s however it talks, end a place', () => {
    const list = new PendingList();
    const silent = accept(list, 0, source(1))!.connection;
    const talker = accept(list, 0, source(2))!.connection;
    const ended = new Map<Connection, number>();
    for (let now = 0; now <= 40_000; now += 1000) {
      talker.lastInput = now;
      for (const connection of list.sweep(now)) ended.set(connection, now);
    }
    expect(ended).toEqual(
      new Map([
        [silent, 5000],
        [talker, 30_000],
      ]),
    );
    expect(list.snapshot()).toMatchObject({ size: 0, refusals: { idle: 1, 'too-slow': 1 } });
    expect(list.nextSweep).toBe(Infinity);
  });

  test('the memory of sources is bounded', () => {
    const list = new PendingList();
    for (let n = 0; n < 20_000; n++) {
      const got = accept(list, n, source(n));
      if (got !== null) list.remove(got.connection);
    }
    // The very first source has been forgotten: it has its full rate again.
    for (let i = 0; i < 32; i++) expect(list.admits(20_000, from(source(0)))).toBe(true);
    expect(list.admits(20_000, from(source(0)))).toBe(false);
  });
});
