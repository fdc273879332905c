import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { parseConfig } from '@wirestream/core/config/parse';
import { WirestreamError } from '@wirestream/core/device/errors';
import type { DeviceSettings } from '@wirestream/core/device/settings';
import { controlSocket, stateFile, type RunPaths } from '../../src/control/paths.js';
import { SocketServer } from '../../src/control/socket.js';
import type { HostOptions } from '../../src/daemon/host.js';
import { bringUp, type Carrier, type UpJob } from '../../src/daemon/up.js';
import { Journal, readState } from '../../src/network/journal.js';
import { FakeShell } from '../support/fakeshell.js';

let dir: string;
let paths: RunPaths;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'ws-up-'));
  paths = { runDir: dir, uapiDir: join(dir, 'wireguard') };
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

/** Notes what it is told among what the shell is told, so that the order shows. */
class FakeCarrier implements Carrier {
  readonly pid = process.pid;
  readonly hasInterface = false;
  constructor(readonly shell: FakeShell) {}
  async configure(settings: DeviceSettings): Promise<void> {
    this.shell.done.push(`configure ${Object.keys(settings).sort().join(' ')}`);
    return Promise.resolve();
  }
  async stop(): Promise<void> {
    this.shell.done.push('stop');
    return Promise.resolve();
  }
}

const CONFIG = `[Interface]
PrivateKey=yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk=
ListenPort=7
MTU=1300
PreUp=one %i
PostUp=two %i
PostDown=three %i
`;

function job(
  shell: FakeShell,
  text = CONFIG,
): UpJob<FakeCarrier> & { controller: AbortController; started: HostOptions[] } {
  const controller = new AbortController();
  const started: HostOptions[] = [];
  return {
    source: { name: 'wg0', path: 'wg0.conf' },
    parsed: parseConfig(text, { file: 'wg0.conf' }),
    paths,
    shell,
    resolver: {
      lookup: async () => new Promise(() => undefined),
      sleep: async () => Promise.resolve(),
      say: () => undefined,
      retries: 0,
    },
    interrupt: controller.signal,
    extra: {},
    start: async (options) => {
      started.push(options);
      shell.done.push('start');
      return Promise.resolve(new FakeCarrier(shell));
    },
    controller,
    started,
  };
}

describe('bringing up', () => {
  test('in the order of wg-quick; the key comes after PreUp and is not in the journal', async () => {
    const shell = new FakeShell();
    const it = job(shell);
    await bringUp(it);
    expect(it.started).toEqual([
      { name: 'wg0', mtu: 1300, settings: { listenPort: 7, fwmark: 0, transport: 'udp', extensions: true, peers: [] } },
    ]);
    expect(shell.done).toEqual([
      'start',
      'PreUp: one wg0',
      'configure peers privateKey replacePeers',
      'PostUp: two wg0',
    ]);
    const state = readState(paths, 'wg0')!;
    expect(state).toMatchObject({ name: 'wg0', pid: process.pid, iface: { mtu: 1300, postDown: ['three %i'] } });
    expect(state.iface).not.toHaveProperty('privateKey');
    expect(state.configPath).toMatch(/^\/.*\/wg0\.conf$/);
  });

  test('what fails in the middle is taken back, and nothing is left', async () => {
    const shell = new FakeShell();
    shell.failing = ['two'];
    await expect(bringUp(job(shell))).rejects.toMatchObject({ code: 'command-failed' });
    expect(shell.done.slice(-2)).toEqual(['PostUp: two wg0', 'stop']);
    expect(existsSync(stateFile(paths, 'wg0'))).toBe(false);
  });

  test('what cannot start leaves nothing', async () => {
    const shell = new FakeShell();
    const it = { ...job(shell), start: async () => Promise.reject(new WirestreamError('tun-forbidden', 'no')) };
    await expect(bringUp(it)).rejects.toMatchObject({ code: 'tun-forbidden' });
    expect(shell.done).toEqual([]);
    expect(existsSync(stateFile(paths, 'wg0'))).toBe(false);
  });

  test('Ctrl-C stops it between two steps', async () => {
    const shell = new FakeShell();
    const it = job(shell);
    const run = shell.run.bind(shell);
    shell.run = async (argv, input) => {
      await run(argv, input);
      if (argv.includes('one wg0')) it.controller.abort();
    };
    await expect(bringUp(it)).rejects.toMatchObject({ code: 'interrupted' });
    expect(shell.done).toEqual(['start', 'PreUp: one wg0', 'stop']);
    expect(existsSync(stateFile(paths, 'wg0'))).toBe(false);
  });

  test('Ctrl-C stops it while a name is looked up', async () => {
    const shell = new FakeShell();
    const it = job(
      shell,
      `${CONFIG}[Peer]\nPublicKey=xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=\nEndpoint=vpn.example:1\n`,
    );
    const running = bringUp(it);
    it.controller.abort();
    await expect(running).rejects.toMatchObject({ code: 'interrupted' });
    expect(shell.done).toEqual([]);
  });

  test('all traffic through the tunnel: the device gets its mark before it has peers', async () => {
    const shell = new FakeShell();
    const it = job(
      shell,
      `${CONFIG}[Peer]\nPublicKey=xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=\nAllowedIPs=0.0.0.0/0\n`,
    );
    await bringUp(it);
    expect(it.started[0]!.settings).toMatchObject({ fwmark: 51820, peers: [] });
  });
});

describe('what is there already', () => {
  test('a tunnel that runs is left alone', async () => {
    const shell = new FakeShell();
    await bringUp(job(shell));
    const again = new FakeShell();
    await expect(bringUp(job(again))).rejects.toMatchObject({
      code: 'already-up',
      hint: expect.stringContaining('down wg0'),
    });
    expect(again.done).toEqual([]);
    expect(readState(paths, 'wg0')).not.toBeNull();
  });

  test('so is one of which only the socket is there', async () => {
    const server = await SocketServer.listen(controlSocket(paths, 'wg0'), async () => Promise.resolve());
    await expect(bringUp(job(new FakeShell()))).rejects.toMatchObject({ code: 'already-up' });
    await server.close();
  });

  test('after one that crashed it cleans up first', async () => {
    const shell = new FakeShell();
    const parsed = parseConfig(CONFIG, { file: 'x' }).config.interface;
    const journal = new Journal(paths, {
      name: 'wg0',
      configPath: '/x',
      // This process is there, but it began at another time than that.
      pid: process.pid,
      started: 'long ago',
      iface: parsed,
      undo: [],
    });
    journal.add({ argv: ['ip', 'rule', 'delete', 'x'] });
    await bringUp(job(shell));
    expect(shell.said[0]).toMatch(/^warning: wg0 was not taken down properly/);
    expect(shell.done.slice(0, 3)).toEqual(['ip rule delete x', 'PostDown: three wg0', 'start']);
    expect(readState(paths, 'wg0')!.undo).toEqual([]);
  });
});
