import { mkdtempSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import type { DeviceSettings } from '@wirestream/core/device/settings';
import type { DeviceSnapshot } from '@wirestream/core/device/snapshot';
import { formatSet } from '@wirestream/core/uapi/request';
import { ControlClient, decode, encode, serveControl, type ControlBackend } from '../../src/control/control.js';
import { SocketServer } from '../../src/control/socket.js';
import { readUapi, serveUapi } from '../../src/control/uapi.js';
import { BARE_PEER, richDevice } from '../show/fixture.js';

let dir: string;
let path: string;
let server: SocketServer | null = null;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'ws-ctl-'));
  path = join(dir, 's');
});
afterEach(async () => {
  await server?.close();
  server = null;
  rmSync(dir, { recursive: true, force: true });
});

const device = richDevice(1_700_000_000_000);

async function serve(more: Partial<ControlBackend> = {}): Promise<ControlClient> {
  const backend: ControlBackend = {
    snapshot: async () => Promise.resolve(device),
    info: () => ({ pid: 7, name: 'wg0', version: '1', driver: 'portable' }),
    capture: async () => Promise.reject(new Error('no device')),
    user: async () => Promise.resolve(null),
    stop: async () => Promise.resolve(),
    ...more,
  };
  server = await SocketServer.listen(path, async (socket) => serveControl(socket, backend));
  return ControlClient.open(path);
}

/** Sends raw text; resolves with all that comes back until the other end closes. */
async function talk(text: string): Promise<string> {
  const socket = connect({ path, allowHalfOpen: true });
  socket.on('error', () => undefined);
  socket.end(text);
  let heard = '';
  for await (const chunk of socket) heard += String(chunk);
  return heard;
}

describe('the control socket', () => {
  test('gives the whole device, keys included', async () => {
    const client = await serve();
    expect(await client.snapshot()).toEqual(device);
    expect(await client.info()).toEqual({ pid: 7, name: 'wg0', version: '1', driver: 'portable' });
    client.close();
  });

  test('answers a stop when it is done, and the end of the connection says that all is', async () => {
    const order: string[] = [];
    const client = await serve({
      stop: async () => {
        await new Promise((resolve) => setImmediate(resolve));
        order.push('stopped');
        setImmediate(() => {
          order.push('closed');
          void server!.close(true);
        });
      },
    });
    await client.stop();
    expect(order).toEqual(['stopped', 'closed']);
    await expect(ControlClient.open(path)).rejects.toMatchObject({ code: 'ENOENT' });
    client.close();
  });

  test('what fails is told', async () => {
    const client = await serve({ snapshot: async () => Promise.reject(new Error('engine is gone')) });
    await expect(client.snapshot()).rejects.toMatchObject({
      code: 'daemon-refused',
      message: 'the daemon says: engine is gone',
    });
    expect((await client.info()).pid).toBe(7);
    client.close();
  });

  test('a daemon that goes away in the middle is told', async () => {
    const client = await serve({ snapshot: async () => new Promise<DeviceSnapshot>(() => void server!.close()) });
    await expect(client.snapshot()).rejects.toThrow();
    client.close();
  });

  test('nonsense gets an answer, and a line without end the door', async () => {
    (await serve()).close();
    expect(await talk('hello\n{"op":"explode"}\nnull\n')).toMatch(
      /^\{"ok":false.*\n\{"ok":false,"error":"no such operation"\}\n\{"ok":false.*\n$/,
    );
    expect(await talk('x'.repeat(10_000))).toBe('');
  });

  test('byte arrays survive JSON, also those that are a part of a larger one', () => {
    const value = { a: [new Uint8Array([1, 2, 255]).subarray(1)], b: null, c: 'x', d: { $bytes: 1 } };
    expect(decode(encode(value))).toEqual({ ...value, a: [Uint8Array.of(2, 255)] });
  });
});

describe('the configuration socket', () => {
  test('reads back what is served, and takes settings larger than any buffer', async () => {
    let got: DeviceSettings | null = null;
    const backend = {
      snapshot: async () => Promise.resolve(device),
      configure: async (settings: DeviceSettings) => {
        got = settings;
        return Promise.resolve();
      },
    };
    server = await SocketServer.listen(path, async (socket) => serveUapi(socket, backend));
    expect(await readUapi(path)).toEqual({ ...device, publicKey: null });

    const allowedIps = Array.from({ length: 65_000 }, (_, i) => ({
      prefix: { bytes: Uint8Array.of(10, i >> 16, (i >> 8) & 255, i & 255), length: 32 },
    }));
    const settings: DeviceSettings = {
      replacePeers: true,
      peers: [{ publicKey: BARE_PEER.publicKey, replaceAllowedIps: true, allowedIps }],
    };
    expect(await talk(formatSet(settings))).toBe('errno=0\n\n');
    // Compared as text: toEqual takes seconds over so many objects.
    expect(got === null ? '' : formatSet(got) === formatSet(settings)).toBe(true);
    expect(await talk('get=1\n\nhello\n')).toMatch(/^private_key=[^]*errno=0\n\n$/);
  });

  test('a reply that breaks off is an error', async () => {
    server = await SocketServer.listen(path, async (socket) => {
      await new Promise((resolve) => socket.write('listen_port=1\n', resolve));
    });
    await expect(readUapi(path)).rejects.toMatchObject({ errno: -71 });
  });
});
