import { existsSync, mkdtempSync, rmSync, unlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { EventEmitter } from 'node:events';
import type { CaptureFeed } from '@wirestream/core/capture/live/captures';
import { WirestreamError } from '@wirestream/core/device/errors';
import type { DeviceSettings } from '@wirestream/core/device/settings';
import type { DeviceSnapshot } from '@wirestream/core/device/snapshot';
import { ControlClient } from '../../src/control/control.js';
import { controlSocket, uapiSocket, type RunPaths } from '../../src/control/paths.js';
import { readUapi } from '../../src/control/uapi.js';
import type { HostOptions, TunnelHost } from '../../src/daemon/host.js';
import { Tunnel } from '../../src/daemon/tunnel.js';
import { BARE_DEVICE } from '../show/fixture.js';

class FakeHost extends EventEmitter<{ fatal: [Error] }> implements TunnelHost {
  readonly driver = 'portable';
  readonly user = null;
  readonly calls: string[] = [];
  device: DeviceSnapshot = BARE_DEVICE;
  startFailure: Error | null = null;
  starting = Promise.resolve();

  async start(options: HostOptions): Promise<void> {
    this.calls.push(`start ${options.name}`);
    await this.starting;
    if (this.startFailure !== null) throw this.startFailure;
  }
  async configure(settings: DeviceSettings): Promise<void> {
    this.calls.push('configure');
    if (settings.listenPort === 1) throw new WirestreamError('port-in-use', 'port 1 is in use');
    this.device = { ...this.device, listenPort: settings.listenPort ?? 0 };
    return Promise.resolve();
  }
  async snapshot(): Promise<DeviceSnapshot> {
    return Promise.resolve(this.device);
  }
  async capture(): Promise<CaptureFeed> {
    return Promise.resolve({ take: () => null, stop: () => Promise.resolve() });
  }
  async stop(): Promise<void> {
    this.calls.push('stop');
    return Promise.resolve();
  }
}

let dir: string;
let paths: RunPaths;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'ws-tun-'));
  paths = { runDir: join(dir, 'run'), uapiDir: join(dir, 'run', 'wireguard') };
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const options: HostOptions = { name: 'wg0', mtu: 1420, settings: { peers: [] } };
const start = async (host: TunnelHost) => Tunnel.start(host, options, paths, '1.2.3');
const control = () => controlSocket(paths, 'wg0');
const uapi = () => uapiSocket(paths, 'wg0');

describe('a tunnel', () => {
  test('can be reached on both sockets', async () => {
    const host = new FakeHost();
    const tunnel = await start(host);
    await tunnel.configure({ listenPort: 7, peers: [] });
    const client = await ControlClient.open(control());
    expect(await client.snapshot()).toEqual({ ...BARE_DEVICE, listenPort: 7 });
    expect(await client.info()).toEqual({ pid: process.pid, name: 'wg0', version: '1.2.3', driver: 'portable' });
    client.close();
    expect((await readUapi(uapi())).listenPort).toBe(7);
    await tunnel.stop({ why: 'told' });
    await tunnel.close();
    expect(await tunnel.ended).toEqual({ why: 'told' });
    expect([existsSync(control()), existsSync(uapi())]).toEqual([false, false]);
  });

  test('two of one name there are not, and the second does not touch the interface', async () => {
    const first = await start(new FakeHost());
    const host = new FakeHost();
    await expect(start(host)).rejects.toMatchObject({ code: 'already-running' });
    expect(host.calls).toEqual([]);
    expect([existsSync(control()), existsSync(uapi())]).toEqual([true, true]);
    await first.stop({ why: 'told' });
    await first.close();
  });

  test('one that cannot start leaves nothing', async () => {
    const host = new FakeHost();
    host.startFailure = new WirestreamError('tun-missing', 'no TUN');
    await expect(start(host)).rejects.toMatchObject({ code: 'tun-missing' });
    expect([existsSync(control()), existsSync(uapi())]).toEqual([false, false]);
  });

  test('requests that come before it has started wait', async () => {
    const host = new FakeHost();
    let go!: () => void;
    host.starting = new Promise((resolve) => (go = resolve));
    const starting = start(host);
    while (!existsSync(uapi())) await new Promise((resolve) => setImmediate(resolve));
    const reply = readUapi(uapi());
    host.device = { ...BARE_DEVICE, listenPort: 9 };
    go();
    const tunnel = await starting;
    expect((await reply).listenPort).toBe(9);
    await tunnel.stop({ why: 'told' });
    await tunnel.close();
  });

  test('asked to on the control socket, it ends and answers', async () => {
    const host = new FakeHost();
    const tunnel = await start(host);
    const client = await ControlClient.open(control());
    const over = tunnel.ended.then(async (end) => {
      await tunnel.close();
      return end;
    });
    await client.stop();
    expect(await over).toEqual({ why: 'asked' });
    expect(host.calls).toEqual(['start wg0', 'stop']);
    client.close();
  });

  test('ends when the socket of the configuration protocol is removed', async () => {
    const tunnel = await start(new FakeHost());
    unlinkSync(uapi());
    expect(await tunnel.ended).toEqual({ why: 'socket-removed' });
    await tunnel.close();
  });

  test('ends with its host, once', async () => {
    const host = new FakeHost();
    const tunnel = await start(host);
    const error = new WirestreamError('interface-gone', 'wg0 is gone');
    host.emit('fatal', error);
    await tunnel.stop({ why: 'told' });
    expect(await tunnel.ended).toEqual({ why: 'fatal', error });
    expect(host.calls).toEqual(['start wg0', 'stop']);
    await tunnel.close();
  });
});
