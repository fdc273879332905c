import { chmodSync, mkdirSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { parseConfig } from '@wirestream/core/config/parse';
import { findConfig, loadConfig } from '../../src/config/load.js';
import { resolveEndpoints, systemResolver, type Resolver } from '../../src/config/resolve.js';

const KEY = 'yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk=';
const PEER = 'xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=';

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'ws-load-'));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

describe('which file is meant', () => {
  test.each([
    ['wg0', 'wg0', '/etc/wireguard/wg0.conf'],
    ['my.vpn', 'my.vpn', '/etc/wireguard/my.vpn.conf'],
    ['./a/wg1.conf', 'wg1', './a/wg1.conf'],
    ['wg2.conf', 'wg2', 'wg2.conf'],
  ])('%s', (given, name, path) => expect(findConfig(given)).toEqual({ name, path }));

  test.each(['', 'a b', '../wg0', './wg0', 'this-name-is-too-long', './this-name-is-too-long.conf', '..'])(
    'not %j',
    (given) => {
      expect(() => findConfig(given)).toThrow(expect.objectContaining({ code: 'usage' }));
    },
  );
});

describe('reading it', () => {
  const file = () => join(dir, 'wg0.conf');

  test('a file for its owner only', () => {
    writeFileSync(file(), `[Interface]\nPrivateKey=${KEY}\n`, { mode: 0o600 });
    expect(loadConfig(file()).warnings).toEqual([]);
  });

  test('one that everybody can read is a warning', () => {
    writeFileSync(file(), `[Interface]\nPrivateKey=${KEY}\n`);
    chmodSync(file(), 0o604);
    expect(loadConfig(file()).warnings).toEqual([
      `${file()}: others can read it, and it holds secrets (chmod 600 ${file()})`,
    ]);
  });

  test('none, a directory, a huge one', () => {
    expect(() => loadConfig(file())).toThrow(
      expect.objectContaining({
        code: 'config-unreadable',
        message: `${file()}: no such file`,
        hint: expect.stringContaining('/etc/wireguard'),
      }),
    );
    const cwd = process.cwd();
    writeFileSync(file(), '');
    process.chdir(dir);
    try {
      const elsewhere = join(dir, 'none', 'wg0.conf');
      expect(() => loadConfig(elsewhere)).toThrow(
        expect.objectContaining({ hint: 'there is a ./wg0.conf: give it with its directory' }),
      );
    } finally {
      process.chdir(cwd);
      rmSync(file());
    }
    mkdirSync(file());
    expect(() => loadConfig(file())).toThrow(expect.objectContaining({ message: `${file()}: is a directory` }));
    rmSync(file(), { recursive: true });
    writeFileSync(file(), '');
    truncateSync(file(), 5 * 2 ** 30);
    expect(() => loadConfig(file())).toThrow(expect.objectContaining({ code: 'config-too-large' }));
  });
});

describe('looking up endpoints', () => {
  const parsed = (...endpoints: string[]) => {
    const text = endpoints.map((endpoint) => `Endpoint=${endpoint}\n`).join('');
    return parseConfig(`[Interface]\nPrivateKey=${KEY}\n[Peer]\nPublicKey=${PEER}\n${text}`, { file: 'x' });
  };

  class Fake implements Resolver {
    readonly slept: number[] = [];
    readonly said: string[] = [];
    retries = 15;
    constructor(readonly results: (string | { code: string })[]) {}
    async lookup(): Promise<{ address: string }> {
      const result = this.results.length > 1 ? this.results.shift()! : this.results[0]!;
      return typeof result === 'string'
        ? Promise.resolve({ address: result })
        : Promise.reject(Object.assign(new Error(), result));
    }
    async sleep(ms: number): Promise<void> {
      this.slept.push(Math.round(ms));
      return Promise.resolve();
    }
    say(line: string): void {
      this.said.push(line);
    }
  }

  test('addresses are not looked up', async () => {
    const resolver = new Fake([{ code: 'ENOTFOUND' }]);
    expect(await resolveEndpoints(parsed('192.0.2.1:7'), 'x', resolver)).toEqual([
      { family: 4, address: '192.0.2.1', port: 7 },
    ]);
    expect(await resolveEndpoints(parsed('[fe80::1%lo]:7'), 'x', resolver)).toEqual([
      { family: 6, address: 'fe80::1', port: 7, scope: 1 },
    ]);
    expect(await resolveEndpoints(parsed(), 'x', resolver)).toEqual([null]);
  });

  test('a name server that does not answer is asked again, a fifth later each time', async () => {
    const again = { code: 'EAI_AGAIN' };
    const resolver = new Fake([again, again, again, 'fd00::1']);
    expect(await resolveEndpoints(parsed('vpn.example:7'), 'x', resolver)).toEqual([
      { family: 6, address: 'fd00::1', port: 7 },
    ]);
    expect(resolver.slept).toEqual([1000, 1200, 1440]);
    expect(resolver.said[0]).toBe('x:5: Endpoint vpn.example: no name server answers. Trying again in 1.00 seconds...');
  });

  test('for ever it is not', async () => {
    const resolver = new Fake([{ code: 'EAI_AGAIN' }]);
    await expect(resolveEndpoints(parsed('vpn.example:7'), 'x', resolver)).rejects.toMatchObject({
      code: 'endpoint-unresolved',
      message: 'x:5: Endpoint vpn.example: no name server answers',
    });
    expect(resolver.slept).toHaveLength(15);
    expect(Math.max(...resolver.slept)).toBeLessThanOrEqual(20_000);
  });

  test('that there is no such host is final', async () => {
    const resolver = new Fake([{ code: 'ENOTFOUND' }]);
    await expect(resolveEndpoints(parsed('vpn.example:7'), 'x', resolver)).rejects.toMatchObject({
      message: 'x:5: Endpoint vpn.example: no such host',
    });
    expect(resolver.slept).toEqual([]);
  });

  test('how often is up to WG_ENDPOINT_RESOLUTION_RETRIES', () => {
    const retries = (value?: string) =>
      systemResolver(() => undefined, { WG_ENDPOINT_RESOLUTION_RETRIES: value }).retries;
    expect([retries(), retries('3'), retries('infinity'), retries('x')]).toEqual([15, 3, Infinity, 15]);
  });

  test('an interface that is not there', async () => {
    await expect(resolveEndpoints(parsed('[fe80::1%no-such0]:7'), 'x', new Fake(['']))).rejects.toMatchObject({
      code: 'endpoint-unresolved',
      message: 'x:5: there is no interface no-such0',
    });
  });
});
