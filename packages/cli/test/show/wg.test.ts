/**
 * Stock `wg show` and our own `show` read the same configuration socket; what they print is compared byte for byte.
 */
import { execFile, execFileSync } from 'node:child_process';
import { promisify } from 'node:util';
import { afterEach, describe, expect, test } from '@jest/globals';
import type { DeviceSnapshot } from '@wirestream/core/device/snapshot';
import { parsePrefix } from '@wirestream/core/address/ip';
import { runPaths, uapiSocket } from '../../src/control/paths.js';
import { SocketServer } from '../../src/control/socket.js';
import { serveUapi } from '../../src/control/uapi.js';
import { FIELDS, formatField } from '../../src/show/fields.js';
import { devicesToJson } from '../../src/show/json.js';
import { paintFor } from '../../src/show/paint.js';
import { formatPretty } from '../../src/show/pretty.js';
import { listDevices, readDevice } from '../../src/show/source.js';
import { BARE_DEVICE, BARE_PEER, CONNECTION, key, richDevice } from './fixture.js';

const run = promisify(execFile);
const NAME = `wst${process.pid}`;
const paths = runPaths({}, 0);

/** Why these tests cannot run here; null when they can. */
const missing = ((): string | null => {
  if (process.getuid?.() !== 0) return 'wg looks for sockets where only root can make them';
  try {
    execFileSync('wg', ['--version']);
    return null;
  } catch {
    return 'wireguard-tools is not installed';
  }
})();
const describeWithWg = missing === null ? describe : describe.skip;
const why = missing === null ? '' : ` (SKIPPED: ${missing})`;

let server: SocketServer | null = null;
async function serve(device: DeviceSnapshot): Promise<void> {
  const backend = { snapshot: async () => Promise.resolve(device), configure: async () => Promise.resolve() };
  server = await SocketServer.listen(uapiSocket(paths, NAME), async (socket) => serveUapi(socket, backend));
}
afterEach(async () => {
  await server?.close();
  server = null;
});

async function wg(args: string[], env: Record<string, string> = {}): Promise<string> {
  const { stdout } = await run('wg', args, { env: { PATH: process.env['PATH'], ...env } });
  return stdout;
}

const DEVICES: [string, (now: number) => DeviceSnapshot][] = [
  ['nothing at all', () => BARE_DEVICE],
  ['a key and no peers', () => ({ ...BARE_DEVICE, privateKey: key(0x40) })],
  ['a peer of nothing', () => ({ ...BARE_DEVICE, peers: [BARE_PEER] })],
  ['everything', richDevice],
  [
    'TCP',
    (now) => ({
      ...richDevice(now),
      transport: 'tcp',
      peers: richDevice(now).peers.map((peer, i) => ({ ...peer, transport: i === 2 ? 'udp' : 'tcp' })),
    }),
  ],
];

describeWithWg(`what wg(8) prints${why}`, () => {
  test.each(DEVICES)('%s: every field, and dump', async (_, make) => {
    await serve(make(Date.now()));
    const shown = await readDevice(NAME, paths);
    for (const field of FIELDS) {
      expect(formatField(shown, field, false)).toBe(await wg(['show', NAME, field]));
      // There may be other tunnels on this machine: ours is what stands between its own name and the next.
      const all = await wg(['show', 'all', field]);
      expect(all).toContain(formatField(shown, field, true));
      expect(all.split(`${NAME}\t`)).toHaveLength(formatField(shown, field, true).split(`${NAME}\t`).length);
    }
  });

  const STYLES = [
    ['plain', {}],
    ['in colours, with secrets', { WG_COLOR_MODE: 'always', WG_HIDE_KEYS: 'never' }],
  ] as const;
  describe.each(STYLES)('for people, %s', (_style, env) => {
    // What only TCP has is for our own show alone.
    test.each(DEVICES.slice(0, -1))('%s', async (_, make) => {
      await serve(make(Date.now()));
      const shown = await readDevice(NAME, paths);
      const mode = 'WG_COLOR_MODE' in env ? env.WG_COLOR_MODE : undefined;
      const ours = () =>
        formatPretty(shown, {
          paint: paintFor(mode, false),
          showSecrets: 'WG_HIDE_KEYS' in env,
          now: Date.now(),
        });
      // Both print how long ago something was; the clock may strike the next second between the two.
      const before = ours();
      const stock = await wg(['show', NAME], env);
      const after = ours();
      expect(stock === before ? before : after).toBe(stock);
    });
  });

  test('TCP: without its own lines it is the same', async () => {
    const device = DEVICES[4]![1](Date.now());
    await serve(device);
    const shown = await readDevice(NAME, paths);
    const plain = () => formatPretty(shown, { paint: paintFor('never', false), showSecrets: false, now: Date.now() });
    const strip = (text: string) => text.replace(/^ {2}transport: .*\n/gm, '');
    const before = plain();
    const stock = await wg(['show', NAME]);
    const after = plain();
    expect(before).toContain('  transport: tcp\n');
    expect(stock === strip(before) ? strip(before) : strip(after)).toBe(stock);
  });

  test('link-local endpoints carry the name of their interface', async () => {
    const endpoint = { family: 6, address: 'fe80::1', port: 7, scope: 1 } as const;
    await serve({ ...BARE_DEVICE, peers: [{ ...BARE_PEER, endpoint }] });
    const shown = await readDevice(NAME, paths);
    const line = formatField(shown, 'endpoints', false);
    expect(line).toContain('\t[fe80::1%lo]:7\n');
    expect(line).toBe(await wg(['show', NAME, 'endpoints']));
  });

  test('wg takes thousands of peers and allowed IPs', async () => {
    const peers = Array.from({ length: 1000 }, (_, i) => {
      const publicKey = new Uint8Array(32);
      new DataView(publicKey.buffer).setUint32(0, i + 1);
      const allowedIps = Array.from({ length: 20 }, (_, j) => parsePrefix(`10.${i >> 8}.${i & 255}.${j}/32`)!);
      return { ...BARE_PEER, publicKey, allowedIps };
    });
    await serve({ ...BARE_DEVICE, peers });
    expect(formatField(await readDevice(NAME, paths), 'dump', false)).toBe(await wg(['show', NAME, 'dump']));
  });

  test('interfaces', async () => {
    await serve(BARE_DEVICE);
    expect(await listDevices(paths)).toContain(NAME);
    expect((await wg(['show', 'interfaces'])).trim().split(' ')).toContain(NAME);
    await server!.close();
    server = null;
    expect(await listDevices(paths)).not.toContain(NAME);
  });

  test('JSON has the names and values of wg-json', async () => {
    const device = richDevice(Date.now());
    await serve(device);
    const json = JSON.parse(JSON.stringify(devicesToJson([await readDevice(NAME, paths)]))) as Record<string, unknown>;
    const dump = (await wg(['show', NAME, 'dump']))
      .trim()
      .split('\n')
      .map((line) => line.split('\t'));
    const [privateKey, publicKey, listenPort, fwmark] = dump[0]!;
    const number = (text: string | undefined) => (text === '0' || text === 'off' ? undefined : Number(text));
    const text = (value: string | undefined) => (value === '(none)' ? undefined : value);
    const peers = dump.slice(1).map(([name, psk, endpoint, ips, handshake, rx, tx, keepalive]) => [
      name,
      {
        presharedKey: text(psk),
        endpoint: text(endpoint),
        latestHandshake: number(handshake),
        transferRx: number(rx),
        transferTx: number(tx),
        persistentKeepalive: number(keepalive),
        allowedIps: text(ips)?.split(',') ?? [],
      },
    ]);
    const expected = {
      privateKey,
      publicKey,
      listenPort: number(listenPort),
      fwmark: number(fwmark),
      peers: Object.fromEntries(peers),
    };
    expect(json).toEqual(JSON.parse(JSON.stringify({ [NAME]: expected })));
  });
});

describe('what only TCP has', () => {
  const shown = (device: DeviceSnapshot) => ({ name: 'wg0', device, interfaceName: () => null });
  const tcp: DeviceSnapshot = {
    ...BARE_DEVICE,
    transport: 'tcp',
    pending: { size: 2, refusals: { 'source-limit': 4, full: 0 } },
    drops: { 'no-peer': 1 },
    peers: [
      {
        ...BARE_PEER,
        transport: 'tcp',
        connections: [
          CONNECTION,
          {
            ...CONNECTION,
            id: 4,
            direction: 'inbound',
            state: 'draining',
            local: null,
            ageMs: 400,
            lastHandshakeAgeMs: null,
            queuedBytes: 1536,
            oldestQueuedMs: 12.4,
            resyncs: 1,
            skippedBytes: 7,
            active: false,
            drops: { stale: 3 },
          },
        ],
        ended: { connections: 3, resyncs: 2, skippedBytes: 14 },
        drops: { 'queue-full': 9 },
      },
      { ...BARE_PEER, publicKey: key(2), transport: 'udp' },
    ],
  };

  test('for people', () => {
    expect(formatPretty(shown(tcp), { paint: paintFor('never', true), showSecrets: false, now: 0 }))
      .toBe(`interface: wg0
  transport: tcp
  pending connections: 2
  refused connections: 4 source-limit
  dropped: 1 no-peer

peer: AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=
  allowed ips: (none)
  connection 3: outbound, authenticated, active, 192.0.2.2:40112 -> 192.0.2.1:51820; age 1 minute, 3 seconds; handshake 5 seconds ago
  connection 4: inbound, draining, 192.0.2.1:51820 -> (unbound); age 0 seconds; queued 1.50 KiB for 12 ms; 1 resync (7 B skipped); dropped 3 stale
  ended connections: 3; 2 resyncs (14 B skipped)
  dropped: 9 queue-full

peer: AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=
  allowed ips: (none)
  transport: udp
`);
  });

  test('for programs', () => {
    const json = devicesToJson([shown(tcp)]) as { wg0: { peers: Record<string, unknown> } };
    expect(json).toMatchObject({
      wg0: { transport: 'tcp', tcp: { pending: 2, refusals: { 'source-limit': 4 }, drops: { 'no-peer': 1 } } },
    });
    const [first, second] = Object.values(json.wg0.peers);
    expect(first).toMatchObject({
      transport: 'tcp',
      tcp: {
        connections: [
          { id: 3, direction: 'outbound', local: '192.0.2.2:40112', remote: '192.0.2.1:51820', active: true },
          { id: 4, state: 'draining', local: null, lastHandshakeAgeMs: null },
        ],
        endedConnections: 3,
        resyncs: 3,
        skippedBytes: 21,
        queuedBytes: 1536,
        drops: { 'queue-full': 9 },
      },
    });
    expect(second).toEqual({ allowedIps: [], transport: 'udp' });
  });
});
