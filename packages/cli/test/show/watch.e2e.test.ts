/** `show --watch` as people see it: on a terminal, which script(1) makes, and into a pipe. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, jest, test } from '@jest/globals';
import type { DeviceSnapshot } from '@wirestream/core/device/snapshot';
import { runPaths, uapiSocket } from '../../src/control/paths.js';
import { SocketServer } from '../../src/control/socket.js';
import { serveUapi } from '../../src/control/uapi.js';
import { Child } from '../e2e/support/command.js';
import { hasProgram } from '../e2e/support/requirements.js';
import { WIRESTREAM } from '../e2e/support/wirestream.js';
import { BARE_DEVICE } from './fixture.js';

jest.setTimeout(60_000);

let dir: string;
let env: Record<string, string>;
/** what is shown; its port counts the looks */
let device: DeviceSnapshot = BARE_DEVICE;
let server: SocketServer;

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'ws-watch-'));
  env = { WIRESTREAM_RUN_DIR: dir, WG_COLOR_MODE: 'never' };
  const snapshot = async () => Promise.resolve((device = { ...device, listenPort: device.listenPort + 1 }));
  server = await SocketServer.listen(uapiSocket(runPaths(env), 'watched'), async (socket) =>
    serveUapi(socket, { snapshot, configure: async () => Promise.resolve() }),
  );
});
afterAll(async () => {
  await server.close();
  rmSync(dir, { recursive: true, force: true });
});

const children: Child[] = [];
const start = (...argv: string[]): Child => {
  const child = new Child(argv, { env });
  children.push(child);
  return child;
};
afterEach(async () => {
  await Promise.all(children.splice(0).map(async (child) => child.stop('SIGKILL')));
});

const onTerminal = hasProgram('script') ? test : test.skip;

describe('show --watch', () => {
  onTerminal('on a terminal: in place, until Ctrl-C, and then the terminal is as before', async () => {
    const command = ['exec', ...WIRESTREAM, 'show', 'watched', '--watch', '0.1'].join(' ');
    const child = start('script', '-qec', command, '/dev/null');
    await child.says(/watched every 0\.1 s/);
    const port = device.listenPort;
    // Others may be looking too: any later number will do.
    await child.says(new RegExp(`listening port: (?!${port}\\b)\\d+`));
    // To the terminal's line discipline, which makes SIGINT of it.
    child.write('\x03');
    const { stdout, code } = await child.ended;
    expect(code).toBe(0);
    expect([stdout.indexOf('\x1b[?1049h'), stdout.endsWith('\x1b[?25h\x1b[?1049l')]).toEqual([0, true]);
    expect(stdout.split('\x1b[?1049h')).toHaveLength(2);
  });

  test('into a pipe: blocks, and with --json lines', async () => {
    const blocks = start(...WIRESTREAM, 'show', '-w', '0.1', 'watched', 'listen-port');
    await blocks.says(/^\d{4}-.*Z\n(\d+)\n\n\d{4}-.*Z\n\d+\n\n/);
    expect(await blocks.stop('SIGINT')).toMatchObject({ code: 0, stderr: '' });
    const lines = start(...WIRESTREAM, 'show', '--json', '--watch', '0.1');
    await lines.says(/\n.*\n/);
    const { stdout } = await lines.stop('SIGTERM');
    const ports = stdout
      .split('\n')
      .slice(0, 2)
      .map((line) => (JSON.parse(line) as { watched: { listenPort: number } }).watched.listenPort);
    expect(ports[1]).toBeGreaterThan(ports[0]!);
    expect(stdout).not.toContain('\x1b');
  });

  test('a wrong name, a wrong time', async () => {
    const wrong = async (...args: string[]) => {
      const { code, stderr } = await start(...WIRESTREAM, 'show', ...args).ended;
      return [code, stderr.split('\n')[0]];
    };
    expect(await wrong('nosuch0', '--watch')).toEqual([
      1,
      'wirestream: Unable to access interface nosuch0: No such device',
    ]);
    expect(await wrong('watched', '--watch', '0')).toEqual([
      2,
      'wirestream: --watch 0: give seconds from 0.1 to 86400',
    ]);
  });
});
