import { Readable } from 'node:stream';
import { describe, expect, test } from '@jest/globals';
import { formatKey } from '@wirestream/core/config/key';
import { WirestreamError } from '@wirestream/core/device/errors';
import { readKey } from '../../src/keys.js';
import { report } from '../../src/report.js';

describe('what goes wrong ends as one line and a hint', () => {
  const lines = (error: unknown) => {
    const written: string[] = [];
    const code = report(error, (line) => written.push(line));
    return [code, ...written];
  };

  test('what people can put right', () => {
    expect(lines(new WirestreamError('x', 'wg0.conf:3: bad', 'do better'))).toEqual([
      1,
      'wirestream: wg0.conf:3: bad',
      '  hint: do better',
    ]);
    expect(lines(new WirestreamError('x', 'bad'))).toEqual([1, 'wirestream: bad']);
    expect(lines(new WirestreamError('usage', 'bad'))).toEqual([2, 'wirestream: bad']);
  });

  test('what is wrong on the command line', () => {
    const error = Object.assign(new Error('Nonexistent flag: --x\nSee more help with --help'), {
      oclif: { exit: 1 },
      parse: {},
    });
    expect(lines(error)).toEqual([2, 'wirestream: Nonexistent flag: --x', expect.stringContaining('hint')]);
    expect(lines(Object.assign(new Error('command x not found'), { oclif: {} }))[0]).toBe(2);
    const missing = new Error(
      'Missing 1 required arg:\nconfig  a file\nNote: --allow allows several.\nSee more help with --help',
    );
    expect(lines(Object.assign(missing, { oclif: {}, parse: {} }))[1]).toBe(
      'wirestream: Missing 1 required arg: CONFIG, a file',
    );
  });

  test('a plain exit says nothing', () => {
    expect(lines(Object.assign(new Error('EEXIT: 0'), { code: 'EEXIT', oclif: { exit: 0 } }))).toEqual([0]);
    expect(lines(Object.assign(new Error('EEXIT: 3'), { code: 'EEXIT', oclif: { exit: 3 } }))).toEqual([3]);
  });

  test('a bug shows no stack trace either, unless asked for', () => {
    expect(lines(new TypeError('x is not a function\n    at y'))).toEqual([
      1,
      'wirestream: x is not a function',
      '  hint: WIRESTREAM_DEBUG=1 shows where this happened',
    ]);
    process.env['WIRESTREAM_DEBUG'] = '1';
    try {
      expect(lines(new TypeError('boom')).join('\n')).toContain('report.test');
    } finally {
      delete process.env['WIRESTREAM_DEBUG'];
    }
  });
});

describe('a key on standard input', () => {
  const KEY = 'yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk=';
  const read = async (...chunks: string[]) =>
    formatKey(await readKey(Readable.from(chunks.map((c) => Buffer.from(c)))));

  test('white space behind it is no matter, nor how it arrives', async () => {
    expect(await read(KEY)).toBe(KEY);
    expect(await read(KEY.slice(0, 7), KEY.slice(7), '\r\n \n')).toBe(KEY);
  });

  test.each([
    ['nothing', ''],
    ['half of it', KEY.slice(0, 20)],
    ['white space before it', ` ${KEY}`],
  ])('%s is none', async (_, text) => {
    await expect(read(text)).rejects.toMatchObject({ message: 'Key is not the correct length or format' });
  });

  test.each([
    ['text', 'x'],
    ['a second key', `\n${KEY}`],
    ['endless white space', ' '.repeat(5000)],
  ])('%s behind it', async (_, text) => {
    await expect(read(KEY, text)).rejects.toMatchObject({ message: 'Trailing characters found after key' });
  });
});
