import { afterAll, describe, expect, test } from '@jest/globals';
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { EAGAIN, EBADF, EPIPE, errnoName } from '../../src/linux/errno.js';
import { IOV_MAX, Iovecs } from '../../src/linux/iovecs.js';
import { nativeSlab, nativeSlabPool, sharedNativeSlab } from '../../src/linux/nativeslab.js';
import { close, read, readv, recv, send, sendv, write, writev } from '../../src/linux/syscalls.js';
import { Slab } from '../../src/slab/slab.js';
import { socketPair } from './helpers.js';

const folder = mkdtempSync(join(tmpdir(), 'wirestream-syscalls-'));
afterAll(() => rmSync(folder, { recursive: true }));

describe('native slabs', () => {
  test('what C writes through an address is what JavaScript reads, and the other way round', () => {
    const file = join(folder, 'a');
    writeFileSync(file, 'hello, slab');
    const slab = nativeSlab(10_000);
    const fd = openSync(file, 'r+');
    expect(read(fd, slab, 9_000, 100)).toBe(11);
    expect(Buffer.from(slab.bytes.subarray(9_000, 9_011)).toString()).toBe('hello, slab');
    slab.bytes.set(Buffer.from('SLAB'), 123);
    expect(write(fd, slab, 123, 4)).toBe(4);
    closeSync(fd);
    expect(readFileSync(file, 'latin1')).toBe('hello, slabSLAB');
  });

  test('shared memory works the same', () => {
    const [a, b] = socketPair();
    const slab = sharedNativeSlab(4096);
    slab.bytes.fill(7, 0, 50);
    expect(send(a, slab, 0, 50)).toBe(50);
    expect(recv(b, slab, 100, 50)).toBe(50);
    expect([...slab.bytes.subarray(99, 102)]).toEqual([0, 7, 7]);
    close(a);
    close(b);
  });

  test('an address outside the slab never reaches C', () => {
    const slab = nativeSlab(4096);
    for (const [offset, length] of [
      [0, 4097],
      [4096, 1],
      [-1, 1],
      [0, -1],
      [NaN, 1],
      [1, NaN],
      [4000, 97],
    ] as const) {
      expect(() => read(0, slab, offset, length)).toThrow(RangeError);
      expect(() => new Iovecs(4).push(slab, offset, length)).toThrow(RangeError);
    }
    expect(() => write(1, Slab.plain(4096), 0, 1)).toThrow(RangeError);
  });

  test('the pool hands the same memory out again and keeps count', () => {
    const pool = nativeSlabPool(65_536, 1);
    const first = pool.take();
    const second = pool.take();
    expect(first.isNative && second.isNative).toBe(true);
    expect(pool.out).toBe(2);
    pool.give(first);
    pool.give(second);
    expect(pool.out).toBe(0);
    expect(pool.take()).toBe(first);
    expect(pool.take()).not.toBe(second);
  });
});

describe('wrappers', () => {
  test('errors come back as negative numbers with names', () => {
    const slab = nativeSlab(4096);
    expect(read(9999, slab, 0, 1)).toBe(-EBADF);
    expect(close(9999)).toBe(-EBADF);
    expect(errnoName(-EBADF)).toBe('EBADF');
    expect(errnoName(EAGAIN)).toBe('EAGAIN');
    expect(errnoName(-4000)).toBe('errno 4000');
    const [a, b] = socketPair();
    expect(recv(a, slab, 0, 1)).toBe(-EAGAIN);
    close(b);
    expect(send(a, slab, 0, 1)).toBe(-EPIPE);
    close(a);
  });

  test('vectors gather and scatter in order, across slabs', () => {
    const [a, b] = socketPair();
    const one = nativeSlab(4096);
    const two = nativeSlab(4096);
    one.bytes.set([1, 2, 3, 4, 5, 6], 10);
    two.bytes.set([7, 8, 9], 4093);
    const out = new Iovecs(3);
    out.push(one, 14, 2);
    out.push(two, 4093, 3);
    out.push(one, 10, 1);
    expect(out.full).toBe(true);
    expect(out.bytes).toBe(6);
    expect(() => out.push(one, 0, 1)).toThrow(RangeError);
    expect(sendv(a, out)).toBe(6);
    expect(writev(a, out)).toBe(6);
    const into = new Iovecs();
    into.push(two, 0, 5);
    into.push(one, 100, 20);
    expect(readv(b, into)).toBe(12);
    expect([...two.bytes.subarray(0, 5), ...one.bytes.subarray(100, 107)]).toEqual([
      5, 6, 7, 8, 9, 1, 5, 6, 7, 8, 9, 1,
    ]);
    into.clear();
    expect([into.count, into.bytes, into.capacity]).toEqual([0, 0, IOV_MAX]);
    close(a);
    expect(sendv(b, out)).toBe(-EPIPE);
    close(b);
  });
});
