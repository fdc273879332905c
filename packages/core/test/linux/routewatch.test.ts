import { readlinkSync } from 'node:fs';
import { describe, expect, test } from '@jest/globals';
import { parseEndpoint } from '../../src/address/endpoint.js';
import { drainRouteWatch, isLocal, openRouteWatch, sourceFor } from '../../src/linux/routewatch.js';
import { close } from '../../src/linux/syscalls.js';

const linux = process.platform === 'linux' ? describe : describe.skip;

linux('the way to a peer', () => {
  test('the source address to loopback is loopback', () => {
    expect(sourceFor(parseEndpoint('127.0.0.1:9')!, 0)).toBe('127.0.0.1');
  });

  test('an address of this machine is local, another is not', () => {
    expect(isLocal(parseEndpoint('127.0.0.1:1')!)).toBe(true);
    expect(isLocal(parseEndpoint('192.0.2.77:1')!)).toBe(false);
  });

  test('a watch opens, is empty at first, and leaves nothing', () => {
    const fd = openRouteWatch();
    expect(readlinkSync(`/proc/self/fd/${fd}`)).toContain('socket');
    drainRouteWatch(fd);
    expect(close(fd)).toBe(0);
    expect(() => readlinkSync(`/proc/self/fd/${fd}`)).toThrow();
  });
});
