import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { readDatagram, reply, replyFor, Socks5Server, writeDatagram } from '../../src/userspace/socks5.js';

const GREETING = [5, 1, 0];
const CONNECT_V4 = [5, 1, 0, 1, 192, 0, 2, 1, 0x1f, 0x90];
const CONNECT_NAME = [5, 1, 0, 3, 3, 0x61, 0x2e, 0x62, 0, 80];

/** Feeds the bytes in pieces of the given sizes. */
function converse(bytes: number[], sizes: number[]) {
  const server = new Socks5Server();
  const answers: number[] = [];
  let at = 0;
  for (let n = 0; at < bytes.length; n++) {
    const size = Math.max(1, sizes[n % sizes.length]!);
    const step = server.feed(Uint8Array.from(bytes.slice(at, at + size)));
    at += size;
    if (step.answer !== null) answers.push(...step.answer);
    if (step.request !== null || step.isOver) return { answers, step, rest: [...server.rest, ...bytes.slice(at)] };
  }
  return { answers, step: null, rest: [] };
}

describe('a SOCKS5 server', () => {
  test('understands a request however it is cut up, and keeps what follows it', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(CONNECT_V4, CONNECT_NAME),
        fc.array(fc.integer({ min: 1, max: 20 }), { minLength: 1 }),
        fc.array(fc.nat(255)),
        (request, sizes, data) => {
          const { answers, step, rest } = converse([...GREETING, ...request, ...data], sizes);
          expect(answers).toEqual([5, 0]);
          expect(step?.request).toEqual({
            command: 'connect',
            destination: request === CONNECT_V4 ? { host: '192.0.2.1', port: 8080 } : { host: 'a.b', port: 80 },
          });
          expect(rest).toEqual(data);
        },
      ),
    );
  });

  test('knows IPv6 and UDP ASSOCIATE', () => {
    const { step } = converse([...GREETING, 5, 3, 0, 4, 0xfd, ...new Array<number>(14).fill(0), 1, 0, 0], [100]);
    expect(step?.request).toEqual({ command: 'associate', destination: { host: 'fd00::1', port: 0 } });
  });

  test.each([
    ['another version', [4, 1, 0], []],
    ['no method that we know', [5, 2, 1, 2], [5, 0xff]],
    ['another version in the request', [...GREETING, 4, 1, 0, 1], [5, 0]],
    ['BIND', [...GREETING, 5, 2, 0, 1], [5, 0, 5, 7, 0, 1, 0, 0, 0, 0, 0, 0]],
    ['an unknown kind of address', [...GREETING, 5, 1, 0, 9], [5, 0, 5, 8, 0, 1, 0, 0, 0, 0, 0, 0]],
  ])('ends with %s', (_name, bytes, answers) => {
    const result = converse(bytes, [1]);
    expect(result.answers).toEqual(answers);
    expect(result.step?.isOver).toBe(true);
  });

  test('whatever it is fed, it ends or waits for a bounded number of bytes', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(255), { maxLength: 700 }), (bytes) => {
        const { step, answers } = converse([5, ...bytes], [1]);
        expect(answers.length).toBeLessThan(40);
        if (step === null) expect(bytes.length).toBeLessThan(600);
      }),
    );
  });

  test('replies say what failed', () => {
    expect([...reply(0, { host: '10.0.0.1', port: 258 })]).toEqual([5, 0, 0, 1, 10, 0, 0, 1, 1, 2]);
    expect([...reply(0, { host: '::1', port: 1 })]).toEqual([5, 0, 0, 4, ...new Array<number>(15).fill(0), 1, 0, 1]);
    const codes = (['refused', 'unreachable', 'prohibited', 'timeout', 'no-resources'] as const).map(
      (f) => replyFor(f)[1],
    );
    expect(codes).toEqual([5, 4, 2, 6, 1]);
  });
});

describe('datagrams of a SOCKS5 client', () => {
  test('what is written can be read', () => {
    fc.assert(
      fc.property(
        fc.constantFrom('10.1.2.3', 'fd00::7'),
        fc.integer({ min: 0, max: 65535 }),
        fc.uint8Array(),
        (host, port, data) => {
          expect(readDatagram(writeDatagram({ host, port }, data))).toEqual({ destination: { host, port }, data });
        },
      ),
    );
  });

  test('fragments, short ones and other things are none', () => {
    for (const bytes of [
      [],
      [0, 0, 0],
      [0, 0, 1, 1, 1, 2, 3, 4, 0, 53],
      [1, 0, 0, 1, 1, 2, 3, 4, 0, 53],
      [0, 0, 0, 1, 1, 2, 3, 4, 0],
      [0, 0, 0, 7, 0, 0],
    ]) {
      expect(readDatagram(Uint8Array.from(bytes))).toBeNull();
    }
  });
});
