import { expect, test } from '@jest/globals';
import { RandomPool } from '../../src/portable/randompool.js';

function draw(pool: RandomPool, length: number): string {
  const out = new Uint8Array(length);
  pool.fill(out);
  return Buffer.from(out).toString('hex');
}

test('what is handed out is never handed out again, across the pool’s end and whatever its length', () => {
  const pool = new RandomPool();
  const seen = new Set<string>();
  let drawn = 0;
  for (let n = 0; n < 2_000; n++, drawn++) seen.add(draw(pool, 8 + (n % 5)));
  for (const length of [4095, 4096, 4097, 100_000]) {
    const bytes = draw(pool, length);
    seen.add(bytes.slice(0, 16)).add(bytes.slice(-16));
    drawn += 2;
  }
  expect(seen.size).toBe(drawn);
});

test('bytes are of all values, also in what one draw leaves in the middle of the pool', () => {
  const pool = new RandomPool();
  const values = new Set<number>();
  const out = new Uint8Array(3);
  for (let n = 0; n < 4_000; n++) {
    pool.fill(out);
    for (const byte of out) values.add(byte);
  }
  expect(values.size).toBe(256);
});

test('a pool that was cleared hands out nothing of what it wiped', () => {
  const pool = new RandomPool();
  draw(pool, 1);
  pool.clear();
  expect(draw(pool, 64)).not.toBe('00'.repeat(64));
});
