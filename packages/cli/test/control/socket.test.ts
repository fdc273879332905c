import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  statSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { controlSocket, makePrivateDir, runPaths, stateFile, uapiSocket } from '../../src/control/paths.js';
import { probeSocket, SocketServer } from '../../src/control/socket.js';

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'ws-sock-'));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const nobody = async () => Promise.resolve();

/** A socket file that nobody serves any more. */
async function leaveStale(path: string): Promise<void> {
  const server = createServer().listen(path);
  await new Promise((resolve) => server.once('listening', resolve));
  // Node removes the file on close; what is left after a crash is a link to the same socket.
  const kept = `${path}.kept`;
  const { linkSync, renameSync } = await import('node:fs');
  linkSync(path, kept);
  await new Promise((resolve) => server.close(resolve));
  renameSync(kept, path);
}

describe('where things are', () => {
  test('root: where wg looks, and a directory of our own', () => {
    const paths = runPaths({ XDG_RUNTIME_DIR: '/run/user/0' }, 0);
    expect(uapiSocket(paths, 'wg0')).toBe('/var/run/wireguard/wg0.sock');
    expect(controlSocket(paths, 'wg0')).toBe('/var/run/wirestream/wg0.sock');
    expect(stateFile(paths, 'wg0')).toBe('/var/run/wirestream/wg0.json');
  });

  test.each([
    [{ XDG_RUNTIME_DIR: '/run/user/7' }, '/run/user/7/wirestream'],
    [{ XDG_RUNTIME_DIR: '' }, '/tmp/wirestream-7'],
    [{}, '/tmp/wirestream-7'],
    [{ WIRESTREAM_RUN_DIR: '/x', XDG_RUNTIME_DIR: '/run/user/7' }, '/x'],
  ])('others, with %j: %s', (env, runDir) => {
    expect(runPaths(env, 7)).toEqual({ runDir, uapiDir: `${runDir}/wireguard` });
  });

  test('directories are made for their owner only', () => {
    makePrivateDir(join(dir, 'a', 'b', 'x.sock'));
    expect(statSync(join(dir, 'a', 'b')).mode & 0o777).toBe(0o700);
  });

  test('a directory that others can write to is refused, and a link to one, too', () => {
    const open = join(dir, 'open');
    mkdirSync(open);
    chmodSync(open, 0o777);
    expect(() => makePrivateDir(join(open, 'x'))).toThrow(expect.objectContaining({ code: 'unsafe-directory' }));
    const mine = join(dir, 'mine');
    mkdirSync(mine, { mode: 0o700 });
    symlinkSync(mine, join(dir, 'link'));
    expect(() => makePrivateDir(join(dir, 'link', 'x'))).toThrow(expect.objectContaining({ code: 'unsafe-directory' }));
    expect(() => makePrivateDir(join(mine, 'x'))).not.toThrow();
  });

  test('where none can be made, it says so', () => {
    writeFileSync(join(dir, 'file'), '');
    expect(() => makePrivateDir(join(dir, 'file', 'run', 'x'))).toThrow(
      expect.objectContaining({ code: 'no-directory', hint: expect.stringContaining('WIRESTREAM_RUN_DIR') }),
    );
  });
});

describe('socket files', () => {
  test('only their owner can use them, whatever the umask', async () => {
    const umask = process.umask(0);
    try {
      const server = await SocketServer.listen(join(dir, 's'), nobody);
      expect(lstatSync(join(dir, 's')).mode & 0o777).toBe(0o600);
      expect(process.umask()).toBe(0);
      await server.close();
    } finally {
      process.umask(umask);
    }
    expect(existsSync(join(dir, 's'))).toBe(false);
  });

  test('are told apart: none, stale, live', async () => {
    const path = join(dir, 's');
    expect(await probeSocket(path)).toBe('none');
    await leaveStale(path);
    expect(await probeSocket(path)).toBe('stale');
    const server = await SocketServer.listen(path, nobody);
    expect(await probeSocket(path)).toBe('live');
    await server.close();
  });

  test('one that is served is not taken away', async () => {
    const path = join(dir, 's');
    const server = await SocketServer.listen(path, nobody);
    await expect(SocketServer.listen(path, nobody)).rejects.toMatchObject({ code: 'already-running' });
    expect(await probeSocket(path)).toBe('live');
    await server.close();
  });

  test('a file that is no socket is left alone', async () => {
    const path = join(dir, 's');
    writeFileSync(path, 'precious');
    await expect(SocketServer.listen(path, nobody)).rejects.toMatchObject({ code: 'not-a-socket' });
    expect(existsSync(path)).toBe(true);
  });

  test('that one was removed or replaced is noticed, and the new one is left alone', async () => {
    const path = join(dir, 's');
    const server = await SocketServer.listen(path, nobody);
    expect(server.present).toBe(true);
    unlinkSync(path);
    expect(server.present).toBe(false);
    const next = await SocketServer.listen(path, nobody);
    expect(server.present).toBe(false);
    await server.close();
    expect(next.present).toBe(true);
    await next.close();
  });
});
