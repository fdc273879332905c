import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import type { PackageSource } from '../../src/vm/apt.js';
import { NoKernel, candidates, fetchKernel } from '../../src/vm/kernelpackage.js';
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

describe('fetchKernel', () => {
  const flavour = process.arch === 'arm64' ? 'arm64' : 'amd64';
  const [newer, older] = ['6.12.2', '6.12.1'].map((version) => `linux-image-${version}+deb12-${flavour}`) as [
    string,
    string,
  ];
  let cache: string;
  let said: string[];
  let updates: number;
  beforeEach(() => {
    cache = mkdtempSync(join(tmpdir(), 'wirestream-kernels-'));
    said = [];
    updates = 0;
  });
  afterEach(() => rmSync(cache, { recursive: true, force: true }));

  const lay = (folder: string, name: string, module: string): void => {
    const release = name.replace('linux-image-', '');
    const modules = join(folder, 'tree/usr/lib/modules', release);
    for (const path of [join(folder, 'tree/boot'), modules]) mkdirSync(path, { recursive: true });
    writeFileSync(join(folder, 'tree/boot', `vmlinuz-${release}`), '');
    writeFileSync(join(modules, `${module}.ko`), '');
  };
  const source = (names: string[], download: PackageSource['download'], complaint: string | null): PackageSource => ({
    names: () => names,
    update: () => {
      updates++;
      return complaint;
    },
    download,
  });
  const failing: PackageSource['download'] = () => 'Temporary failure resolving';
  const fetch = (packages: PackageSource) => fetchKernel(cache, (line) => said.push(line), packages);

  test('the newest that has the module is kept for the next time', () => {
    const download: PackageSource['download'] = (name, folder) => {
      lay(folder, name, name === newer ? 'dummy' : 'wireguard');
      return null;
    };
    expect(fetch(source([older, newer], download, null))).toMatchObject({ packaged: older });
    expect(fetch(source([older], failing, null))).toMatchObject({ packaged: older });
    expect(updates).toBe(0);
    expect(readdirSync(cache).sort()).toEqual([older, newer]);
  });

  test('lists that are old are read again, once', () => {
    const download: PackageSource['download'] = (name, folder) => {
      if (updates === 0) return '404';
      lay(folder, name, 'wireguard');
      return null;
    };
    expect(fetch(source([newer], download, null))).toMatchObject({ packaged: newer });
    expect(updates).toBe(1);
  });

  test('without a network, one that was fetched before is taken', () => {
    lay(join(cache, older), older, 'wireguard');
    expect(fetch(source([newer], failing, 'no network'))).toMatchObject({ packaged: older });
    expect(said.at(-1)).toContain(`${older} was fetched before`);
    expect(readdirSync(cache)).toEqual([older]);
  });

  test('what could not be downloaded, why, and what to do is said', () => {
    const all = (): unknown => fetch(source([newer, older], failing, 'no network'));
    expect(all).toThrow(NoKernel);
    expect(all).toThrow(`no kernel to boot: no network; Temporary failure resolving (${newer}, ${older}). `);
    expect(all).toThrow(`apt-get download ${newer}`);
    expect(all).toThrow(join(cache, newer, 'tree'));
    expect(readdirSync(cache)).toEqual([]);
  });

  test('a machine without apt-get is told so', () => {
    const none = (): unknown => fetch(source([], failing, 'this machine has no apt-get'));
    expect(none).toThrow('no kernel to boot: this machine has no apt-get; the package lists have no linux-image');
  });
});
