import { describe, expect, test } from '@jest/globals';
import { loadOrder, modinfo, moduleOfFile, type ModuleSource } from '../../src/vm/modules.js';

function image(depends: string, softdep?: string): Uint8Array {
  const info = [
    'license=GPL',
    `depends=${depends}`,
    ...(softdep === undefined ? [] : [`softdep=${softdep}`]),
    'name=x',
  ];
  return Buffer.from(`\x7fELF….text\0${info.join('\0')}\0the rest depends=nothing`, 'latin1');
}

function source(modules: Record<string, Uint8Array>): ModuleSource {
  return {
    path: (name) => (name in modules ? `/m/${name}.ko.xz` : undefined),
    read: (path) => modules[moduleOfFile(path)!]!,
  };
}

describe('loadOrder', () => {
  test('each module comes after all that it depends on, once', () => {
    const order = loadOrder(
      source({
        wireguard: image('libchacha20poly1305,udp_tunnel,curve25519-x86_64'),
        libchacha20poly1305: image('chacha_x86_64'),
        chacha_x86_64: image('libchacha'),
        libchacha: image(''),
        udp_tunnel: image(''),
        curve25519_x86_64: image('libcurve25519-generic'),
        libcurve25519_generic: image(''),
        virtio_net: image('net_failover'),
        net_failover: image(''),
      }),
      ['wireguard', 'virtio-net'],
    ).map(({ name }) => name);
    expect(order).toEqual([
      'libchacha',
      'chacha_x86_64',
      'libchacha20poly1305',
      'udp_tunnel',
      'libcurve25519_generic',
      'curve25519_x86_64',
      'wireguard',
      'net_failover',
      'virtio_net',
    ]);
  });

  test('soft dependencies come before, where they exist', () => {
    const modules = source({ a: image('', 'pre: b missing post: c'), b: image(''), c: image('') });
    expect(loadOrder(modules, ['a']).map(({ name }) => name)).toEqual(['b', 'a']);
  });

  test('what is missing is named with what needs it; what is optional is passed over', () => {
    const modules = source({ a: image('b'), b: image('c') });
    expect(() => loadOrder(modules, ['a'])).toThrow('no module a → b → c');
    expect(() => loadOrder(modules, ['z'])).toThrow('no module z');
    expect(loadOrder(modules, [], ['z'])).toEqual([]);
  });

  test('a circle is an error, not a hang', () => {
    expect(() => loadOrder(source({ a: image('b'), b: image('a') }), ['a'])).toThrow('a → b → a');
  });
});

test('modinfo takes whole keys only', () => {
  expect(modinfo(image('x,y', 'pre: z'), 'depends')).toEqual(['x,y']);
  expect(modinfo(image(''), 'pends')).toEqual([]);
});

test.each([
  ['kernel/net/foo-bar.ko.xz', 'foo_bar'],
  ['a.ko', 'a'],
  ['a.ko.zst', 'a'],
  ['modules.dep', null],
])('%s is module %s', (path, name) => expect(moduleOfFile(path)).toBe(name));
