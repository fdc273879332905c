import { afterEach, describe, expect, test } from '@jest/globals';
import { existsSync, readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseEndpoint } from '../../src/address/endpoint.js';
import { startEngine as begin } from '../../src/linux/enginehost.js';
import { closeListening, openListening } from '../../src/linux/listen.js';
import { openTun } from '../../src/linux/tun.js';
import { portableCrypto } from '../../src/noise/portable.js';
import { inNamespace, noTun, run } from './helpers.js';

/** The thread runs compiled code only. */
const thread = new URL('../../dist/linux/enginethread.js', import.meta.url);
const reason = noTun ?? (existsSync(fileURLToPath(thread)) ? null : 'needs the build: npm run build');
const rooted = reason === null ? test : test.skip;
const why = reason === null ? '' : ` (SKIPPED: ${reason})`;

/** A test that fails must not leave a thread behind: what asks all threads for something would wait for it for ever. */
const started: Awaited<ReturnType<typeof begin>>[] = [];
afterEach(async () => {
  for (const engine of started.splice(0)) await engine.stop();
});
const startEngine: typeof begin = async (...args) => {
  const engine = await begin(...args);
  started.push(engine);
  return engine;
};

const privateKey = new Uint8Array(32).fill(5);
const start = { name: 'wst0', offload: true, mtu: 1420, settings: { privateKey, peers: [] } };

const links = async (): Promise<string> => (await run('ip', ['-brief', 'link'])).stdout;
const descriptors = (): number => readdirSync('/proc/self/fd').length;
const threads = (): number => readdirSync('/proc/self/task').length;

describe('the engine thread', () => {
  rooted('starts, answers, takes changes, stops, and leaves nothing' + why, () =>
    inNamespace(async () => {
      const engine = await startEngine({ ...start, name: 'wst%d' }, { thread });
      expect(engine.info).toMatchObject({
        name: 'wst0',
        offload: { tcp: true },
        crypto: expect.stringContaining('OpenSSL'),
      });
      expect(await links()).toContain('wst0');
      const first = await engine.snapshot();
      expect(first).toMatchObject({ listenPort: engine.info.listenPort, transport: 'udp', peers: [] });
      expect([...first.publicKey!]).toEqual([...portableCrypto.publicKey(privateKey)]);
      const publicKey = portableCrypto.publicKey(new Uint8Array(32).fill(6));
      const endpoint = parseEndpoint('127.0.0.1:9')!;
      await engine.configure({ transport: 'tcp', peers: [{ publicKey, endpoint, allowedIps: [] }] });
      expect(await engine.snapshot()).toMatchObject({ transport: 'tcp', peers: [{ endpoint }] });
      // Several at once are answered each for itself.
      const ports = await Promise.all([
        engine.configure({ listenPort: 6001, peers: [] }).then(() => engine.snapshot()),
        engine.configure({ listenPort: 6002, peers: [] }).then(() => engine.snapshot()),
      ]);
      expect(ports.map(({ listenPort }) => listenPort)).toEqual([6002, 6002]);
      await engine.stop();
      expect(await engine.ended).toBeNull();
      await engine.stop();
      expect(await links()).not.toContain('wst0');
      await expect(engine.snapshot()).rejects.toMatchObject({ code: 'engine-stopped' });
    }),
  );

  rooted('up and down many times leaves no descriptor and no thread' + why, () =>
    inNamespace(async () => {
      const cycle = async (): Promise<void> => (await startEngine(start, { thread })).stop();
      await cycle();
      const before = [descriptors(), threads()];
      for (let i = 0; i < 5; i++) await cycle();
      expect([descriptors(), threads()]).toEqual(before);
      expect(await links()).not.toContain('wst0');
    }),
  );

  rooted('what stands in the way is said, and nothing is left' + why, () =>
    inNamespace(async () => {
      const before = descriptors();
      await expect(startEngine({ ...start, name: 'lo' }, { thread })).rejects.toMatchObject({
        name: 'WirestreamError',
        code: 'tun-not-a-tun',
        hint: expect.stringContaining('ip link delete lo'),
      });
      const taken = openListening({ port: 6000, tcp: false, udp: true });
      const settings = { ...start.settings, listenPort: 6000 };
      await expect(startEngine({ ...start, settings }, { thread })).rejects.toMatchObject({ code: 'port-in-use' });
      expect(await links()).not.toContain('wst0');
      const engine = await startEngine(start, { thread });
      await expect(engine.configure(settings)).rejects.toMatchObject({ code: 'port-in-use' });
      expect((await engine.snapshot()).listenPort).toBe(engine.info.listenPort);
      await engine.stop();
      closeListening(taken);
      expect(descriptors()).toBe(before);
    }),
  );

  rooted('the interface is deleted: the engine ends and says why' + why, () =>
    inNamespace(async () => {
      const engine = await startEngine(start, { thread });
      const question = engine.ended;
      await run('ip', ['link', 'delete', 'wst0']);
      expect(await question).toMatchObject({ code: 'tun-gone', message: expect.stringContaining('wst0') });
      await expect(engine.snapshot()).rejects.toMatchObject({ code: 'tun-gone' });
      await engine.stop();
    }),
  );

  rooted('takes over a TUN that is open already' + why, () =>
    inNamespace(async () => {
      const tun = openTun({ name: 'wst7', offload: true });
      const engine = await startEngine({ ...start, tunFd: tun.fd }, { thread });
      expect(engine.info.name).toBe('wst7');
      await engine.stop();
      expect(await links()).not.toContain('wst7');
    }),
  );
});
