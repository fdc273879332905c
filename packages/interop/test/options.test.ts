import { expect, test } from '@jest/globals';
import { HELP, readOptions } from '../src/options.js';

test('without options, everything is run, and files are those of the folder', () => {
  expect(readOptions([], '/here')).toEqual({
    quick: false,
    hostKernel: false,
    standIn: false,
    module: null,
    wg: null,
    record: null,
    only: [],
    results: '/here/interop-results',
    budget: null,
    accelerator: null,
  });
  const args = ['--module', 'wireguard.ko', '--wg', '../wg', '--record', 'new', '--only', 'a b', '--only', 'c'];
  expect(readOptions(args, '/here')).toMatchObject({
    module: '/here/wireguard.ko',
    wg: '/wg',
    record: '/here/new',
    only: ['a b', 'c'],
  });
});

test('the short run has an end of its own, below its four minutes', () => {
  expect(readOptions(['--quick'], '/')!.budget).toBeLessThan(240);
  expect(readOptions(['--quick', '--budget', '9'], '/')!.budget).toBe(9);
});

test('help names every option', () => {
  expect(readOptions(['--quick', '--help'], '/')).toBeNull();
  for (const option of ['quick', 'only', 'module', 'wg', 'host-kernel', 'stand-in', 'record', 'results', 'budget']) {
    expect(HELP).toContain(`--${option} `);
  }
});

test.each([
  [['--budget', 'x'], '--budget: x is no number of seconds'],
  [['--accelerator', 'xen'], '--accelerator: kvm or tcg, not xen'],
  [['--host-kernel', '--stand-in'], 'exclude each other'],
  [['--host-kernel', '--module', 'x.ko'], '--module and --accelerator are for the virtual machine'],
  [['--host-kernel', '--record', 'x'], '--record is for the virtual machine'],
  [['--stand-in', '--record', 'x'], '--record is for the virtual machine'],
  [['--nonsense'], "Unknown option '--nonsense'"],
])('%j is a mistake', (args, message) => {
  expect(() => readOptions(args, '/')).toThrow(message);
});
