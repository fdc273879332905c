import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { formatField } from '../../src/show/fields.js';
import { isKernelDevice, kernelDevices, parseDump, readKernelDevice } from '../../src/show/kernel.js';
import { BARE_DEVICE, richDevice } from './fixture.js';

let dir: string;
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'ws-kernel-'));
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

const shown = (device: typeof BARE_DEVICE) => ({ name: 'wg0', device, interfaceName: () => null });
/** The form in which wg(8) gives it, which wg.test.ts holds against the real one. */
const dumpOf = (device: typeof BARE_DEVICE) => formatField(shown(device), 'dump', false);

describe("the kernel's own interfaces", () => {
  test.each([
    ['with everything', richDevice(1_700_000_000_000)],
    ['with nothing', BARE_DEVICE],
  ])('a dump %s is read back', (_, device) => {
    const parsed = parseDump(dumpOf(device));
    expect(dumpOf(parsed)).toBe(dumpOf(device));
    expect({ ...parsed, peers: [] }).toEqual({ ...device, peers: [] });
    const seconds = (ms: number) => Math.floor(ms / 1000) * 1000;
    expect(parsed.peers).toEqual(device.peers.map((p) => ({ ...p, lastHandshake: seconds(p.lastHandshake) })));
  });

  test('they are known by their type', () => {
    for (const [name, text] of [
      ['wg0', 'DEVTYPE=wireguard\nINTERFACE=wg0\nIFINDEX=7\n'],
      ['br0', 'DEVTYPE=bridge\nINTERFACE=br0\n'],
      ['lo', 'INTERFACE=lo\nIFINDEX=1\n'],
    ] as const) {
      mkdirSync(join(dir, name));
      writeFileSync(join(dir, name, 'uevent'), text);
    }
    expect(kernelDevices(dir)).toEqual(['wg0']);
    expect([isKernelDevice('wg0', dir), isKernelDevice('nosuch', dir)]).toEqual([true, false]);
    expect(kernelDevices(join(dir, 'nosuch'))).toEqual([]);
  });

  test('through wg(8): what it prints, what it complains of, and when there is none', async () => {
    writeFileSync(join(dir, 'dump'), dumpOf(richDevice(0)));
    const script = `#!/bin/sh\n[ "$*" = "show wg0 dump" ] || { echo "Unable to access interface: No" >&2; exit 1; }\ncat "${dir}/dump"\n`;
    writeFileSync(join(dir, 'wg'), script, { mode: 0o700 });
    expect(dumpOf(await readKernelDevice('wg0', join(dir, 'wg')))).toBe(dumpOf(richDevice(0)));
    await expect(readKernelDevice('wg1', join(dir, 'wg'))).rejects.toMatchObject({
      code: 'device-unreadable',
      message: 'Unable to access interface: No',
    });
    await expect(readKernelDevice('wg0', join(dir, 'nosuch'))).rejects.toMatchObject({ code: 'no-wg' });
  });
});
