import { describe, expect, test } from '@jest/globals';
import { WirestreamError } from '@wirestream/core/device/errors';
import { portableCrypto } from '@wirestream/core/noise/portable';
import { Slab } from '@wirestream/core/slab/slab';
import { diagnosisLines } from '../../src/commands/doctor.js';
import { diagnose, type Diagnosis } from '../../src/doctor/diagnose.js';
import type { Native, System } from '../../src/doctor/system.js';

const ALL_FLAGS = ['CSUM', 'TSO4', 'TSO6', 'TSO_ECN', 'USO4', 'USO6'];

const native: Native = {
  koffiVersion: '3.0.0',
  providers: [],
  makeSlab: (size) => Slab.plain(size),
  chooseCrypto: () => ({ crypto: portableCrypto, why: 'the only one in this test' }),
  tunAbilities: () => ({ flags: ALL_FLAGS }),
  udpAbilities: () => ({ segmentation: true, coalescing: true }),
  ipv6Obstacle: () => null,
};

/** A machine on which everything is as it should be, but for what the test says. */
function machine(change: Partial<System> = {}, broken: Partial<Native> = {}, missing: string[] = []): System {
  return {
    platform: 'linux',
    arch: 'x64',
    nodeVersion: '20.19.0',
    shell: { has: (program) => !missing.includes(program), query: async () => Promise.resolve(null) },
    chooseDriver: () => ({ driver: 'linux', why: null }),
    exists: () => false,
    read: () => '212992',
    native: async () => Promise.resolve({ ...native, ...broken }),
    ...change,
  };
}

const userSpace: Partial<System> = {
  chooseDriver: () => ({ driver: 'portable', why: 'there is no permission to make interfaces (CAP_NET_ADMIN)' }),
};

/** What is not ok, by its id. */
const complaints = ({ findings }: Diagnosis) =>
  Object.fromEntries(findings.filter(({ state }) => state !== 'ok').map(({ id, state }) => [id, state]));

test('a machine that has everything', async () => {
  const diagnosis = await diagnose(machine());
  expect(complaints(diagnosis)).toEqual({});
  expect(diagnosis).toMatchObject({ driver: 'linux', ready: true });
  expect(diagnosis.summary).toBe('wirestream up would make an interface, with offload (linux driver)');
  expect(new Set(diagnosis.findings.map(({ id }) => id)).size).toBe(diagnosis.findings.length);
});

describe('problems, because of which up fails', () => {
  test.each([
    ['20.18.9', false],
    ['18.99.0', false],
    ['20.19.0', true],
    ['20.20.0', true],
    ['22.0.0', true],
  ])('Node %s', async (nodeVersion, ready) => {
    const diagnosis = await diagnose(machine({ nodeVersion }));
    expect(diagnosis.ready).toBe(ready);
    expect(complaints(diagnosis)).toEqual(ready ? {} : { node: 'problem' });
  });

  test('no TUN where up would make one: the hint is the driver’s', async () => {
    const refuses = () => {
      throw new WirestreamError('tun-missing', 'no device', 'load it');
    };
    const diagnosis = await diagnose(machine({}, { tunAbilities: refuses }));
    expect(complaints(diagnosis)).toEqual({ tun: 'problem' });
    expect(diagnosis.findings.find(({ id }) => id === 'tun')).toMatchObject({ hint: 'load it' });
    expect(diagnosis.summary).toContain('would fail because of: tun; wirestream up --rootless');
  });

  test('koffi that does not load', async () => {
    const diagnosis = await diagnose(
      machine({ native: async () => Promise.reject(new Error('no such library\nstack')) }),
    );
    expect(complaints(diagnosis)).toEqual({ koffi: 'problem' });
    expect(diagnosis.findings.find(({ id }) => id === 'koffi')!.says).toContain('(no such library)');
  });

  test('no ip(8)', async () => {
    expect(complaints(await diagnose(machine({}, {}, ['ip'])))).toEqual({ ip: 'problem' });
  });
});

describe('notes, which are no obstacle', () => {
  test('without privileges the tunnel runs in user space, where none of that is missed', async () => {
    const tried = () => {
      throw new Error('must not be tried');
    };
    const diagnosis = await diagnose(machine({ ...userSpace }, { tunAbilities: tried }, ['ip']));
    expect(diagnosis).toMatchObject({ driver: 'portable', ready: true });
    expect(complaints(diagnosis)).toEqual({ privileges: 'note', ip: 'note', buffers: 'note' });
    expect(diagnosis.summary).toContain('in user space');
  });

  test('without koffi too', async () => {
    const diagnosis = await diagnose(machine({ ...userSpace, native: async () => Promise.reject(new Error('no')) }));
    expect(diagnosis.ready).toBe(true);
    expect(complaints(diagnosis)).toMatchObject({ koffi: 'note' });
  });

  test('programs that only some tunnels want', async () => {
    const diagnosis = await diagnose(machine({}, {}, ['nft', 'iptables-restore', 'resolvconf', 'wg']));
    expect(diagnosis.ready).toBe(true);
    expect(complaints(diagnosis)).toEqual({ filter: 'note', dns: 'note' });
    expect(complaints(await diagnose(machine({}, {}, ['nft'])))).toEqual({});
  });

  test('kernels with less', async () => {
    const udpAbilities = () => ({ segmentation: true, coalescing: false });
    const diagnosis = await diagnose(
      machine({}, { tunAbilities: () => ({ flags: [] }), udpAbilities, ipv6Obstacle: () => 'EADDRNOTAVAIL' }),
    );
    expect(diagnosis.ready).toBe(true);
    expect(complaints(diagnosis)).toEqual({ offload: 'note', udp: 'note', ipv6: 'note' });
    expect(diagnosis.summary).toContain('without offload');
    const says = (id: string) => diagnosis.findings.find((finding) => finding.id === id)!.says;
    expect(says('udp')).toContain('no GRO;');
    expect(says('offload')).toContain('none of it');
  });

  test('offload for TCP alone is offload', async () => {
    const diagnosis = await diagnose(machine({}, { tunAbilities: () => ({ flags: ['CSUM', 'TSO4', 'TSO6'] }) }));
    expect(complaints(diagnosis)).toEqual({});
    expect(diagnosis.findings.find(({ id }) => id === 'offload')!.says).toContain('not for UDP');
  });
});

test('each provider that works is measured, and one that does not is left out', async () => {
  const broken = { ...portableCrypto, name: 'broken', cipher: () => { throw new Error('no'); } }; // prettier-ignore
  const diagnosis = await diagnose(machine({}, { providers: [broken, portableCrypto] }));
  const { says, details } = diagnosis.findings.find(({ id }) => id === 'crypto')!;
  expect(says).toMatch(
    /^cryptography: the only one in this test\. Sealing 1420-byte packets: portable \(noble\) \d+ MB\/s$/,
  );
  expect(details).toMatchObject({ sealMBytesPerSecond: { broken: null, [portableCrypto.name]: expect.any(Number) } });
});

test('for people: a line each, hints below, the conclusion last', async () => {
  const lines = diagnosisLines(await diagnose(machine({}, {}, ['resolvconf'])));
  const at = lines.indexOf('note     resolvconf(8) is missing: DNS = of a configuration is not set');
  expect(lines[at + 1]).toBe('         hint: apt-get install openresolv');
  expect(lines.slice(-2)).toEqual(['', 'wirestream up would make an interface, with offload (linux driver)']);
});
