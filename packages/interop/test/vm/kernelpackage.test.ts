import { expect, test } from '@jest/globals';
import { candidates } from '../../src/vm/kernelpackage.js';
import { parseLdd } from '../../src/vm/programs.js';

test('the newest version comes first, and of one version the smallest flavour', () => {
  const names = [
    'linux-image-amd64',
    'linux-image-6.1.0-9-amd64',
    'linux-image-6.12.117+deb12-rt-amd64',
    'linux-image-6.12.117+deb12-amd64',
    'linux-image-6.12.117+deb12-amd64-unsigned',
    'linux-image-6.12.117+deb12-cloud-amd64',
    'linux-image-6.9.1+bpo-amd64',
    'linux-image-6.1.0-56-cloud-amd64',
    'linux-image-6.1.0-56-amd64-dbg',
  ];
  expect(candidates(names, 'x64')).toEqual([
    'linux-image-6.12.117+deb12-cloud-amd64',
    'linux-image-6.12.117+deb12-amd64',
    'linux-image-6.9.1+bpo-amd64',
    'linux-image-6.1.0-56-cloud-amd64',
    'linux-image-6.1.0-9-amd64',
  ]);
  expect(candidates(names, 'arm64')).toEqual([]);
  expect(candidates(names, 'mips')).toEqual([]);
});

test('libraries are found in what ldd prints', () => {
  const text = [
    '\tlinux-vdso.so.1 (0x00007fc4)',
    '\tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007fc4)',
    '\t/lib64/ld-linux-x86-64.so.2 (0x00007fc4)',
    '',
  ].join('\n');
  expect(parseLdd(text)).toEqual(['/lib/x86_64-linux-gnu/libc.so.6', '/lib64/ld-linux-x86-64.so.2']);
  expect(() => parseLdd('\tlibx.so.1 => not found\n')).toThrow('libx.so.1');
});
