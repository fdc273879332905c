import { openSync, closeSync } from 'node:fs';
import { describe, expect, test } from '@jest/globals';
import { readContract } from '../../src/daemon/contract.js';

const PLAIN = { name: 'wg0', foreground: false, level: 'error', listened: false, transport: 'udp' };

describe('what wirestream-daemon is asked for', () => {
  test('by its words', () => {
    expect(readContract(['wg0'], {})).toEqual(PLAIN);
    for (const flag of ['-f', '--foreground']) {
      expect(readContract([flag, 'wg0'], {})).toEqual({ ...PLAIN, foreground: true });
    }
    for (const argv of [[], ['-f'], ['wg0', '-f'], ['-x', 'wg0'], ['wg0', 'wg1'], ['--help']]) {
      expect(() => readContract(argv, {})).toThrow(/^Usage: wirestream-daemon \[-f\|--foreground\] INTERFACE-NAME$/);
    }
    for (const name of ['', '.', 'a/b', 'a b', 'wg%d', 'sixteencharacter']) {
      expect(() => readContract([name], {})).toThrow('is not the name of an interface');
    }
  });

  test('by its environment', () => {
    const of = (env: Record<string, string>) => readContract(['wg0'], env);
    expect(of({ WG_PROCESS_FOREGROUND: '1' })).toEqual({ ...PLAIN, foreground: true });
    expect(of({ WG_PROCESS_FOREGROUND: '0' })).toEqual(PLAIN);
    expect(of({ WIRESTREAM_TRANSPORT: 'TCP' })).toEqual({ ...PLAIN, transport: 'tcp' });
    expect(of({ WIRESTREAM_TRANSPORT: '' })).toEqual(PLAIN);
    expect(() => of({ WIRESTREAM_TRANSPORT: 'sctp' })).toThrow('WIRESTREAM_TRANSPORT is not tcp, udp or auto');
    expect(of({ WG_UAPI_FD: '4' })).toEqual({ ...PLAIN, uapiFd: 4 });
    expect(() => of({ WG_UAPI_FD: 'x' })).toThrow('WG_UAPI_FD is not the number of an open descriptor');
  });

  test.each([
    ['verbose', 'verbose', true],
    ['debug', 'verbose', true],
    ['error', 'error', true],
    ['whatever', 'error', true],
    ['silent', 'silent', false],
    ['', 'error', false],
  ])('LOG_LEVEL=%s', (word, level, listened) => {
    expect(readContract(['wg0'], { LOG_LEVEL: word })).toEqual({ ...PLAIN, level, listened });
  });

  test('a TUN that is none is refused before anything is done', () => {
    const fd = openSync('/dev/null', 'r');
    try {
      for (const text of [String(fd), '1000000', '-1']) {
        expect(() => readContract(['wg0'], { WG_TUN_FD: text })).toThrow('WG_TUN_FD is not the number of an open');
      }
    } finally {
      closeSync(fd);
    }
  });
});
